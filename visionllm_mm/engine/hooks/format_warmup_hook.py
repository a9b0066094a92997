"""Runs the warm-up on output formats as a step of the recipe, before the first image."""

from collections.abc import Sequence
from pathlib import Path

from mmdet.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn

from ...datasets.required_files import named_files
from ...models.text_warmup import train_steps
from .warmup_hook import WarmupHook, told_loader


@HOOKS.register_module()
class FormatWarmupHook(WarmupHook):
    """Teaches the task decoder to read output formats off instructions, and nothing else (design 3.7).

    Beside other tasks from the start it is hardly learnt (docs/design.md has the measurement).

    Args:
        datasets: of samples with an ``instruction``; their pipelines load no images.
        ratios: how often a batch is of each of them.
        num_iters: optimiser steps.
        batch_size: instructions per step.
        lr: peak learning rate, see :func:`train_steps`.
        seed: seed of what the pipelines draw.
        kwargs: see :class:`WarmupHook`.
    """

    def __init__(self, datasets: Sequence[dict], ratios: Sequence[float], num_iters: int = 400, batch_size: int = 16,
                 lr: float = 1e-3, seed: int = 0, **kwargs) -> None:
        super().__init__(dict(num_iters=num_iters, lr=lr, seed=seed), **kwargs)
        self.loader = told_loader(datasets, ratios, num_iters, batch_size, seed)

    def describe(self, model: nn.Module) -> dict:
        return dict(self.settings, loader=self.loader)

    def files(self) -> list[Path]:
        return [path for path in named_files(self.loader) if path.is_file()]

    def run(self, runner: Runner, model: nn.Module) -> None:
        if model.loss_format is None:
            raise ValueError('FormatWarmupHook needs a model that learns to read formats: set criterion.loss_format')
        total, batches = self.settings['num_iters'], iter(runner.build_dataloader(self.loader))
        runner.logger.info(f'warm-up of the task decoder on output formats: {total} steps')

        def find_loss() -> Tensor:
            return model.format_loss(next(batches)['data_samples'])

        losses = []
        for loss in train_steps(model.task_decoder, find_loss, total, self.settings['lr']):
            losses.append(loss)
            if len(losses) % 50 == 0:
                mean = sum(losses[-50:]) / 50
                runner.logger.info(f'warm-up on output formats [{len(losses)}/{total}]  loss: {mean:.3f}')
