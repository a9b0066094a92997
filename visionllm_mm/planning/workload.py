"""A model and the input of one step, built from a config; the step runs the model's own stages."""

import copy
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import torch
from mmdet.datasets import CocoDataset
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from torch import Tensor

from ..instructions import DETECTION_TEMPLATES, build_instruction, point_format
from ..models import FormatLoss, VisionLLM
from ..models.auxiliary import AuxiliaryLoss
from ..structures import TrainStep
from .meter import Meter

_NOT_SIZES = ('architectures', 'transformers_version', 'torch_dtype', 'dtype', '_name_or_path', 'path')
"""Keys of a ``config.json`` or of ``planning`` that do not change the model's shapes."""


@dataclass(frozen=True)
class Workload:
    """One step's input.

    Attributes:
        batch: B, images per GPU.
        image_size: (H, W) of the padded batch, px.
        num_classes: K in the instruction.
        num_points: N.
        objects: objects per image; so many tokens are matched.
        kept: tokens whose points are decoded while predicting; None: all.
    """

    batch: int
    image_size: tuple[int, int]
    num_classes: int = 80
    num_points: int = 2
    objects: int = 7
    kept: int | None = None


def architecture(cfg: Config, name: str) -> dict | None:
    """What the part ``name`` (llm, text_encoder) is, where the config names weights by path; None: it names none.

    A local folder has it in its ``config.json``; for a name on the Hugging Face hub ``cfg.planning`` has it.

    Args:
        cfg: of the training.
        name: ``llm`` or ``text_encoder``.

    Raises:
        ValueError: when ``planning`` lacks the part, or is about another path.
    """
    path = cfg.model[name].get('path')
    if path is None:
        return None
    file = Path(path).expanduser() / 'config.json'
    if file.is_file():
        return json.loads(file.read_text())
    known = cfg.get('planning', {}).get(name)
    if not known:
        raise ValueError(
            f'model.{name}.path names weights, which the planner does not load: describe them in '
            f'the config, as planning = dict({name}=dict(model_type=..., hidden_size=..., ...)), or '
            'name a local folder'
        )
    if known.get('path', path) != path:
        raise ValueError(
            f"model.{name}.path is {path!r}, no local folder with a config.json, and the config's "
            f'planning.{name} is about {known["path"]!r}: name a folder, or set '
            f'planning.{name}.path={path} and the sizes beside it (planning.{name}.hidden_size=...)'
        )
    return known


def planned_model_config(cfg: Config) -> dict:
    """``cfg.model`` with new parts of the same :func:`architecture` in the place of pretrained ones.

    Args:
        cfg: of the training.

    Raises:
        ValueError: when :func:`architecture` does not know what lies at a path, or the LLM is quantized.
    """
    model = copy.deepcopy(cfg.model.to_dict())
    model['format_source'] = 'rule'  # an LLM without numbers reads nothing; it reads once per text
    if model['llm'].get('quantization'):
        raise ValueError(
            'llm.quantization is set, but the planner knows no quantized weights: plan without it, with '
            '--cfg-options model.llm.quantization=None'
        )
    for name in ('llm', 'text_encoder'):
        known = architecture(cfg, name)
        if known is None:
            continue
        del model[name]['path']
        model[name] |= dict(tokenizer='builtin', config={k: v for k, v in known.items() if k not in _NOT_SIZES})
    return model


def build_model(cfg: Config) -> VisionLLM:
    """The model with random weights, or none within :class:`ShapesOnly`."""
    init_default_scope('mmdet')
    return MODELS.build(planned_model_config(cfg))


def is_left_out_of_checkpoints(cfg: Config) -> bool:
    """Whether the LLM is a frozen pretrained one, which checkpoints name and do not hold."""
    return cfg.model.llm.get('path') is not None and cfg.model.llm.get('freeze', True)


def samples(work: Workload, model: VisionLLM) -> list[DetDataSample]:
    """B samples of one instruction, with random boxes as objects."""
    known = CocoDataset.METAINFO['classes']
    names = [
        known[i] if i < len(known) else f'{known[i % len(known)]} {i // len(known)}' for i in range(work.num_classes)
    ]
    text = build_instruction(DETECTION_TEMPLATES[0], names, point_format(work.num_points), model.vocabulary)
    height, width = work.image_size
    found = []
    for i in range(work.batch):
        sample = DetDataSample(
            metainfo=dict(
                img_id=i,
                noise_seed=i,
                img_shape=work.image_size,
                ori_shape=work.image_size,
                batch_input_shape=work.image_size,
                scale_factor=(1.0, 1.0),
                instruction=text,
            )
        )
        generator = torch.Generator().manual_seed(i)
        points = torch.rand(work.objects, work.num_points, 2, generator=generator).sort(dim=1).values
        points = points * torch.tensor([width, height])
        boxes = torch.cat([points.amin(dim=1), points.amax(dim=1) + 1], dim=1)
        sample.gt_instances = InstanceData(
            labels=torch.arange(work.objects) % work.num_classes, points=points, bboxes=boxes
        )
        found.append(sample)
    return found


def autocast(cfg: Config) -> Callable[[], object]:
    """The precision of the config's training step."""
    wrapper = cfg.get('optim_wrapper') or {}
    if wrapper.get('type') != 'AmpOptimWrapper':
        return nullcontext
    dtype = getattr(torch, wrapper.get('dtype') or 'bfloat16')
    return lambda: torch.autocast('cpu', dtype=dtype)


def run_stages(model: VisionLLM, work: Workload, images: Tensor, meter: Meter) -> Tensor:
    """The model's own stages up to the logits, each a phase of the meter.

    Matching and losses are left out: they need numbers, and are small.

    Args:
        model: the model, in training mode or not.
        work: the sizes of the step's input.
        images: (B, 3, H, W), normalized.
        meter: counts operations and memory.

    Returns:
        The sum of all outputs, which stands for the losses.
    """
    with stages(model, meter.phase):
        step = _read(model, images, samples(work, model))
        state = model.task_decoder.read(step.instructions, step.inputs)
        num_tokens = model.image_tokenizer.num_tokens
        kept = work.objects if model.training else work.kept or num_tokens
        rows = torch.arange(min(kept, num_tokens)).expand(work.batch, -1)
        point_logits = model.task_decoder.point_logits(state, rows, work.num_points)
        outputs = [step.content, model.task_decoder.class_logits(state), point_logits]
        outputs += [step.tokens.objectness, step.tokens.boxes_cxcywh]
        if step.tokens.proposals is not None:
            outputs += [step.tokens.proposals.objectness, step.tokens.proposals.boxes_cxcywh]
        if model.training:
            if step.tokens.extra is not None:
                outputs += model.project(step.tokens.extra)
            outputs += [part(model, step)['loss_format'] for part in model.auxiliary.values() if is_format_loss(part)]
    return sum(x.sum() for x in outputs)


def _read(model: VisionLLM, images: Tensor, data_samples: list[DetDataSample]) -> TrainStep:
    """A step up to what the LLM reads; while predicting, without what training adds to the tokens."""
    if model.training:
        return model.read(images, data_samples)
    step = TrainStep(data_samples, model.parse_instructions(data_samples))
    step.tokens = model.tokenize(model.extract_feat(images), data_samples, step.instructions)
    step.content, step.inputs = model.project(step.tokens)
    return step


def is_format_loss(part: AuxiliaryLoss) -> bool:
    return isinstance(part, FormatLoss)


@contextmanager
def stages(model: VisionLLM, phase: Callable[[str], AbstractContextManager]) -> Iterator[None]:
    """Within it, each stage of the model runs in a phase of its name.

    Args:
        model: the model, whose methods are wrapped.
        phase: name of a stage -> context that it runs in.
    """
    parts = [
        ('backbone', model.backbone, 'forward'),
        ('neck', model.neck, 'forward'),
        ('text encoder', model.text_encoder, 'forward'),
        ('image tokenizer', model.image_tokenizer, 'forward'),
        ('projector', model, 'project'),
        ('LLM: prefix, pass 1', model.task_decoder, 'read'),
        ('LLM: prefix, pass 1', model.task_decoder, 'class_logits'),
        ('LLM: pass 2', model.task_decoder, 'point_logits'),
        *(('LLM: formats', part, 'forward') for part in model.auxiliary.values() if is_format_loss(part)),
    ]

    def wrapped(name: str, run: Callable) -> Callable:
        def in_phase(*args, **kwargs):
            with phase(name):
                return run(*args, **kwargs)

        return in_phase

    with ExitStack() as patches:
        for name, part, method in parts:
            patches.enter_context(mock.patch.object(part, method, wrapped(name, getattr(part, method))))
        yield
