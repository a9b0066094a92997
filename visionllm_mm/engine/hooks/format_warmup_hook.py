"""Runs the warm-up on output formats as a step of the recipe, before the first image."""

from collections.abc import Sequence

from mmdet.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn

from ...models.text_warmup import report_means, train_steps
from .warmup_hook import ToldWarmupHook


@HOOKS.register_module()
class FormatWarmupHook(ToldWarmupHook):
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
        super().__init__(datasets, ratios, batch_size, dict(num_iters=num_iters, lr=lr, seed=seed), **kwargs)

    def run(self, runner: Runner, model: nn.Module) -> None:
        if model.loss_format is None:
            raise ValueError('FormatWarmupHook needs a model that learns to read formats: set criterion.loss_format')
        total, batches = self.settings['num_iters'], iter(runner.build_dataloader(self.loader))
        runner.logger.info(f'warm-up of the task decoder on output formats: {total} steps')

        def find_loss() -> Tensor:
            return model.format_loss(next(batches)['data_samples'])

        report_means(train_steps(model.task_decoder, find_loss, total, self.settings['lr']), every=50,
                     report=lambda step, loss: runner.logger.info(
                         f'warm-up on output formats [{step}/{total}]  loss: {loss:.3f}'))
