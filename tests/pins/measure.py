"""What the pins are made of: shapes, predictions, losses, initial weights and warm-ups, as JSON holds them.

Only entrances that users have are taken: config files, the registries, mmdet's ``init_detector``, the inferencer,
``model.loss`` and hooks of a runner. All that may move within the package is imported in one block.
"""

import contextlib
import copy
import functools
import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
import torch

# isort: split
# What may move.
from visionllm_mm.apis import VisionLLMInferencer
from visionllm_mm.miniscenes import DatasetArguments, write_dataset
from visionllm_mm.planning.shapes_only import ShapesOnly
from visionllm_mm.planning.workload import planned_model_config

# isort: split
from mmdet.apis import init_detector
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config, ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from tests.helpers.scenes import make_coco_folder
from tests.helpers.tiny import ROOT

FOLDER = Path(__file__).parent
CONFIGS = ROOT / 'configs'
PINNED_CONFIGS = sorted(
    str(path.relative_to(CONFIGS)) for folder in ('visionllm', 'baselines') for path in (CONFIGS / folder).glob('*.py')
)
DET, STAGE1, MULTITASK = (f'visionllm/visionllm-tiny_miniscenes-{name}.py' for name in ('det', 'stage1', 'multitask'))
INITIALIZED = [
    DET,
    STAGE1,
    MULTITASK,
    *(
        f'visionllm/visionllm-tiny_{name}.py'
        for name in (
            'miniscenes-grounding',
            'miniscenes-insseg',
            'custom-coco',
            'finetune-coco',
            'finetune-coco-insseg',
        )
    ),
]
WARMED_UP = [DET, STAGE1, MULTITASK]
WEIGHTS = ROOT / 'checkpoints/visionllm-tiny_miniscenes-multitask.pth'
BATCH = 4
STEPS = 3
WARMUP_BATCH = 4


@functools.cache
def data() -> Path:
    """A folder with ``miniscenes`` and ``coco``, the same bytes each time."""
    folder = tempfile.TemporaryDirectory(prefix='pins')
    _kept.append(folder)  # till the process ends
    root = Path(folder.name)
    write_dataset(root / 'miniscenes', DatasetArguments(num_train=40, num_val=4, seed=7))
    make_coco_folder(root / 'coco', 1, 1)
    return root


_kept: list[tempfile.TemporaryDirectory] = []


def read_config(name: str) -> Config:
    """A config on the data made here."""
    paths = dict(MINISCENES_ROOT=str(data() / 'miniscenes'), DATA_ROOT=str(data() / 'coco'))
    with mock.patch.dict(os.environ, paths):
        cfg = Config.fromfile(CONFIGS / name)
    object.__setattr__(cfg, '_format_python_code', False)  # 20 s each time it is written down
    init_default_scope('mmdet')
    return cfg


def new_model(cfg: Config) -> torch.nn.Module:
    """The model with the random weights of seed 0."""
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    return model


# Names and shapes.


def state_dict(name: str) -> dict:
    """How many entries the state dict of a config's model has, and a digest of their names and shapes; by part, too.

    Pretrained parts are built anew in the sizes that the config plans with, and all without memory.
    """
    cfg = read_config(name)
    model = cfg.model.to_dict()
    if model.get('llm'):
        cfg.model.llm.quantization = None  # quantized weights have other shapes, and need bitsandbytes
        model = planned_model_config(cfg)
    return _state_dict(json.dumps(model, sort_keys=True))


@functools.cache  # several configs have one model
def _state_dict(model: str) -> dict:
    with ShapesOnly():
        built = MODELS.build(ConfigDict(json.loads(model)))
    shapes = {name: tuple(value.shape) for name, value in built.state_dict().items()}
    parts = {
        part: {name: shape for name, shape in shapes.items() if name.split('.')[0] == part}
        for part in sorted({name.split('.')[0] for name in shapes})
    }
    return dict(
        count=len(shapes),
        digest=_digest(shapes),
        parts={part: f'{len(inside)} {_digest(inside)}' for part, inside in parts.items()},
    )


def _digest(shapes: dict[str, tuple[int, ...]]) -> str:
    return hashlib.sha256(repr(sorted(shapes.items())).encode()).hexdigest()[:16]


# Predictions.

_SHAPES = ['circle', 'square', 'triangle', 'star', 'ring', 'cross', 'crescent', 'heart']
ASKED = {
    'detect': lambda ask, images, **kw: ask.detect(images, _SHAPES, **kw),
    'detect pairs in groups': lambda ask, images, **kw: ask.detect(
        images, [f'{color} {shape}' for color in ('red', 'blue', 'cyan') for shape in _SHAPES], **kw
    ),
    'segment, 8 points': lambda ask, images, **kw: ask.segment(images, _SHAPES, num_points=8, **kw),
    'segment, 24 points': lambda ask, images, **kw: ask.segment(images, _SHAPES, **kw),
    'ground': lambda ask, images, **kw: ask.ground(images, 'the leftmost object', **kw),
    'keypoints': lambda ask, images, **kw: ask.keypoints(
        images, _SHAPES, ['center', 'top', 'right', 'bottom', 'left'], **kw
    ),
    'caption': lambda ask, images, **kw: ask.caption(images, **kw),
    'caption, 8 words': lambda ask, images, **kw: ask.caption(images, max_words=8, **kw),
    'answer, count': lambda ask, images, **kw: ask.answer(images, 'How many objects are there?', **kw),
    'answer, existence': lambda ask, images, **kw: ask.answer(images, 'Is there a star?', **kw),
    'answer, second turn': lambda ask, images, **kw: ask.answer(
        images, 'Is there a circle?', history=['yes', 'What color is the largest object?'], **kw
    ),
    'free instruction': lambda ask, images, **kw: ask(
        images,
        instruction='Boxes of {"circle": <c0>, "crescent": <c1>} in <image> please, as (c, x1, y1, x2, y2), range 64.',
        **kw,
    ),
}


@functools.cache
def inferencer() -> VisionLLMInferencer:
    return VisionLLMInferencer(read_config(MULTITASK), str(WEIGHTS), device='cpu', show_progress=False)


def predictions(task: str) -> list[dict]:
    """What the released weights answer about four scenes: the best objects of a score above 0.1, or words."""
    images = [str(path) for path in sorted((data() / 'miniscenes/val').iterdir())]
    assert len(images) == 4
    return [_best(found) for found in ASKED[task](inferencer(), images, batch_size=4)['predictions']]


def _best(found: dict) -> dict:
    kept = {key: found[key] for key in ('instruction', 'output_format', 'text', 'point_names') if key in found}
    if 'scores' in found:
        kept['number'] = sum(score > 0.1 for score in found['scores'])
        for key in ('scores', 'label_names', 'tokens', 'bboxes', 'polygons', 'keypoints'):
            if key in found:
                kept[key] = found[key][: min(kept['number'], 4)]
    return kept


# Losses.


@functools.cache
def _trained() -> torch.nn.Module:
    return init_detector(read_config(MULTITASK), str(WEIGHTS), device='cpu')


def train_sets(cfg: Config) -> list[dict]:
    """The data sets of a config, each with a pipeline."""
    dataset = cfg.train_dataloader.dataset
    return dataset.datasets if dataset.type == 'ConcatDataset' else [dataset]


# Data set of the multi-task config by number, or all that another config has.
BATCHES = [*(f'multitask {i}' for i in range(7)), 'det']


def losses(which: str) -> dict[str, float]:
    """The losses of a batch: with the released weights, or with random ones for detection."""
    if which == 'det':
        cfg = read_config(DET)
        model, datasets, index = new_model(cfg), train_sets(cfg), 0
    else:
        model, datasets, index = copy.deepcopy(_trained()), train_sets(read_config(MULTITASK)), int(which.split()[1])
        assert len(datasets) == 7
    model.train()
    dataset = DATASETS.build(datasets[index])
    torch.manual_seed(0)
    batch = model.data_preprocessor(pseudo_collate([dataset[i] for i in range(BATCH)]), True)
    found = model.loss(batch['inputs'], batch['data_samples'])
    return {name: float(torch.as_tensor(value).detach()) for name, value in found.items()}


# Initial weights.


def initial_weights(name: str) -> dict[str, list[float]]:
    """By part: sum of the parameters, of their absolute values, and with weights that rise by place from -1 to 1."""
    parts: dict[str, list] = {}
    for key, value in sorted(new_model(read_config(name)).named_parameters()):
        parts.setdefault(key.split('.')[0], []).append(value.detach().double().flatten())
    joined = {part: torch.cat(values) for part, values in parts.items()}
    return {
        part: [
            values.sum().item(),
            values.abs().sum().item(),
            (values * torch.linspace(-1, 1, len(values), dtype=torch.float64)).sum().item(),
        ]
        for part, values in joined.items()
    }


# Warm-ups.


@contextlib.contextmanager
def loss_of_each_step() -> Iterator[list[float]]:
    """Keeps the value of everything on which ``backward()`` is called.

    Warm-ups report means of 50 or 100 steps alone. This is the one place that looks into them, and it names none of
    their code: whatever trains calls ``backward()`` once a step.
    """
    seen, backward = [], torch.Tensor.backward

    def noted(self: torch.Tensor, *args, **kwargs) -> None:
        seen.append(self.item())
        backward(self, *args, **kwargs)

    with mock.patch.object(torch.Tensor, 'backward', noted):
        yield seen


def warmup_hooks(cfg: Config) -> list[dict]:
    return [hook for hook in cfg.default_hooks.values() if str(hook.type).endswith('WarmupHook')]


def warmups(name: str) -> list[dict]:
    """The losses of the first steps of each warm-up of a config, all from the same random weights."""
    cfg = read_config(name)
    for hook in warmup_hooks(cfg):
        hook.update(num_iters=STEPS, batch_size=WARMUP_BATCH)
    # It stays until the process ends: mmengine's logger keeps a file open in it.
    folder = Path(tempfile.mkdtemp(dir=data()))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # results of warm-ups are kept below it
        cfg.update(work_dir=str(folder), load_from=None, experiment_name=f'pins-{folder.name}', launcher='none')
        cfg.visualizer.update(name=cfg.experiment_name, vis_backends=None)  # one of its own, which writes nothing
        runner = Runner.from_cfg(cfg)
        runner.model.cpu()  # where there is a GPU, too
        torch.manual_seed(0)
        runner.model.init_weights()
        start = copy.deepcopy(runner.model.state_dict())
        found = []
        for hook in runner.hooks:
            if not type(hook).__name__.endswith('WarmupHook'):
                continue
            runner.model.load_state_dict(start)
            runner.model.train()
            with loss_of_each_step() as steps:
                hook.before_train(runner)
            change = sum(
                float((value.double() - start[key].double()).abs().sum())
                for key, value in runner.model.state_dict().items()
                if value.is_floating_point()
            )
            found.append(dict(hook=type(hook).__name__, losses=steps, change=change))
    return found


PINS = {
    'state_dicts': (state_dict, PINNED_CONFIGS),
    'predictions': (predictions, list(ASKED)),
    'losses': (losses, BATCHES),
    'initial_weights': (initial_weights, INITIALIZED),
    'warmups': (warmups, WARMED_UP),
}


def stored(kind: str) -> dict:
    """The values that were written down."""
    return json.loads((FOLDER / f'{kind}.json').read_text())


def rounded(value):
    """Floats to nine digits; the files hold no more than what is compared."""
    if isinstance(value, dict):
        return {key: rounded(inside) for key, inside in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(inside) for inside in value]
    if isinstance(value, float) and math.isfinite(value):
        return float(f'{value:.9g}')
    return value
