"""A tiny COCO-format folder and runs on it, shared by the integration tests."""

import copy
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from mmdet.registry import MODELS
from mmengine.config import Config, ConfigDict
from mmengine.hooks import Hook
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from tests.helpers.tiny import ROOT

NAMES = ['box', 'blue disk']
CONFIG = ROOT / 'configs/visionllm/visionllm-tiny_custom-coco.py'


def make_coco_folder(root: Path, num_train: int = 8, num_val: int = 4, size: int = 64) -> Path:
    """Writes ``train.json``, ``train/``, ``val.json``, ``val/``; the last image of each split shows nothing."""
    for split, count in (('train', num_train), ('val', num_val)):
        (root / split).mkdir(parents=True)
        images, annotations = [], []
        for i in range(count):
            rng = np.random.default_rng((i, split == 'val'))
            picture = rng.integers(90, 120, (size, size, 3), dtype=np.uint8)
            for _ in range(0 if i == count - 1 else 2):
                label, side = int(rng.integers(2)), int(rng.integers(14, 28))
                x, y = (int(v) for v in rng.integers(1, size - side - 1, 2))
                if label == 0:
                    cv2.rectangle(picture, (x, y), (x + side - 1, y + side - 1), (20, 20, 230), -1)
                else:
                    cv2.circle(picture, (x + side // 2, y + side // 2), side // 2, (230, 60, 20), -1)
                annotations.append(
                    dict(
                        id=len(annotations) + 1,
                        image_id=i + 1,
                        category_id=label + 1,
                        bbox=[x, y, side, side],
                        area=side * side,
                        iscrowd=0,
                    )
                )
            cv2.imwrite(str(root / split / f'{i + 1}.png'), picture)
            images.append(dict(id=i + 1, file_name=f'{i + 1}.png', width=size, height=size))
        categories = [dict(id=k + 1, name=name) for k, name in enumerate(NAMES)]
        (root / f'{split}.json').write_text(
            json.dumps(dict(images=images, annotations=annotations, categories=categories))
        )
    return root


def add_polygons(ann_file: Path) -> None:
    """Gives the objects of an annotation file their boxes as polygons."""
    content = json.loads(ann_file.read_text())
    for annotation in content['annotations']:
        x, y, w, h = annotation['bbox']
        annotation['segmentation'] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    ann_file.write_text(json.dumps(content))


def small_config(monkeypatch, data: Path, work_dir: Path, epochs: int = 1) -> Config:
    """The custom-data config on a folder, with a narrow model and little of everything."""
    monkeypatch.setenv('DATA_ROOT', str(data))
    cfg = Config.fromfile(CONFIG)
    cfg.work_dir = str(work_dir)
    narrow(cfg.model)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.update(batch_size=4, num_workers=0, persistent_workers=False)
    for transform in cfg.train_dataloader.dataset.pipeline:
        for key in ('scale', 'crop_size'):
            if key in transform:
                transform[key] = (64, 64)
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.pipeline[1].scale = (64, 64)
    cfg.train_cfg.update(max_epochs=epochs, val_interval=epochs)
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', interval=1)
    cfg.default_hooks.logger.interval = 1
    cfg.default_hooks.warmup.update(num_iters=2, batch_size=2, cache_dir=str(work_dir / 'warmup'))
    cfg.param_scheduler = []
    return cfg


def warmups(cfg: Config) -> list[dict]:
    """Configs of the hooks that warm the task decoder up, in their order."""
    return [hook for hook in cfg.default_hooks.values() if hook and str(hook.type).endswith('WarmupHook')]


def narrow_multitask_config() -> Config:
    """That of the multi-task model, narrow; its data lie in the folder of ``MINISCENES_ROOT``."""
    cfg = Config.fromfile(ROOT / 'configs/visionllm/visionllm-tiny_miniscenes-multitask.py')
    object.__setattr__(cfg, '_format_python_code', False)  # 20 s each time it is written down
    narrow(cfg.model)
    return cfg


def small_multitask_config(work_dir: Path) -> Config:
    """The same with little of everything."""
    cfg = narrow_multitask_config()
    for hook in warmups(cfg):
        hook.update(num_iters=2, batch_size=4, cache_dir=str(work_dir / 'warmup'))
    cfg.model.test_cfg.text.max_length = 5
    cfg.update(work_dir=str(work_dir), load_from=None, param_scheduler=[], experiment_name=work_dir.name)
    cfg.train_dataloader.update(batch_size=2, num_workers=0, persistent_workers=False)
    cfg.train_dataloader.sampler.update(batch_size=2, num_batches=12)
    for loader in (
        cfg.val_dataloader,
        cfg.test_dataloader,
        *(task['dataloader'] for task in cfg.test_cfg.tasks.values()),
    ):
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
    cfg.test_cfg.tasks.caption.evaluator[0].tokenizer = 'simple'
    cfg.train_cfg.update(max_epochs=1)
    return cfg


def save_untrained(cfg: Config, path: Path) -> None:
    """A checkpoint of a config's model with random weights."""
    init_default_scope('mmdet')
    torch.manual_seed(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = dict(dataset_meta=dict(classes=tuple(cfg.classes)))
    torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict(), meta=meta), path)


def narrow(model: ConfigDict) -> None:
    """Makes a tiny model's config smaller still."""
    model.backbone.update(base_channels=8, norm_cfg=dict(type='GN', num_groups=4))
    model.neck.in_channels = [channels // 4 for channels in model.neck.in_channels]
    model.llm.config.update(hidden_size=64, intermediate_size=96)
    model.text_encoder.config.update(hidden_size=32, intermediate_size=48)
    model.image_tokenizer.num_tokens = 10


class LossLog(Hook):
    """Keeps the loss of every training iteration."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        self.losses.append(float(outputs['loss'].detach()))


def train(cfg: Config, hooks: Sequence[Hook] = ()) -> tuple[Runner, list[float]]:
    """Trains and returns the runner and its losses."""
    cfg = copy.deepcopy(cfg)
    cfg.experiment_name = f'run{id(cfg)}'
    runner, log = Runner.from_cfg(cfg), LossLog()
    for hook in (log, *hooks):
        runner.register_hook(hook, priority='LOWEST')
    runner.train()
    return runner, log.losses


def launch(cfg: Config, work_dir: Path, processes: int, *arguments: str) -> None:
    """Runs tools/train.py, under torchrun where there are several processes.

    torchrun gives each process one thread, so a single one has one, too: with more, orthogonal_ rounds otherwise.
    """
    work_dir.mkdir(exist_ok=True)
    cfg.dump(work_dir / 'config.py')
    torchrun = ['-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', str(processes)]
    command = [
        sys.executable,
        *(torchrun if processes > 1 else []),
        str(ROOT / 'tools/train.py'),
        str(work_dir / 'config.py'),
        '--work-dir',
        str(work_dir),
        *arguments,
    ]
    command += ['--launcher', 'pytorch'] if processes > 1 else []
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=1800, cwd=ROOT, env=os.environ | {'OMP_NUM_THREADS': '1'}
    )
    assert done.returncode == 0, done.stderr[-2000:]


def logged_losses(work_dir: Path) -> list[float]:
    """Losses in the logs of all runs in a folder, in their order; the first process's own."""
    logs = sorted(work_dir.glob('*/vis_data/scalars.json'))
    lines = [line for log in logs for line in log.read_text().splitlines() if '"loss"' in line]
    return [json.loads(line)['loss'] for line in lines]
