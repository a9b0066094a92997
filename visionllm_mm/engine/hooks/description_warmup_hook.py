"""Runs the warm-up on described images as a step of the recipe, before the first image."""

from collections.abc import Iterator, Sequence

from mmdet.registry import HOOKS
from mmengine.runner import Runner
from torch import nn

from ...models.description_warmup import DescribedImages, described_images, warm_up_on_descriptions
from .warmup_hook import ToldWarmupHook


@HOOKS.register_module()
class DescriptionWarmupHook(ToldWarmupHook):
    """Teaches the task decoder to find and to say what texts ask of described images.

    Several of these hooks are run one after the other, as a curriculum: short wordings first, then all.

    Args:
        datasets: texts and expressions with ``objects``, see :class:`TextDataset` and
            :class:`ReferringExpressionDataset`; their pipelines load no images.
        ratios: how often a batch is of each of them.
        num_iters, lr, noise, seed, asked_weight: see :func:`warm_up_on_descriptions`.
        batch_size: texts per step.
        num_tokens: tokens per image, some of which are objects; None: as many as the model has. Fewer are faster.
        read_formats: whether the model learns to read output formats, too, where it has a loss for that.
        kwargs: see :class:`WarmupHook`.
    """

    def __init__(self, datasets: Sequence[dict], ratios: Sequence[float], num_iters: int = 4000, batch_size: int = 16,
                 lr: float = 1e-3, noise: float = 0.3, seed: int = 0, num_tokens: int | None = None,
                 read_formats: bool = True, asked_weight: float = 0.0, **kwargs) -> None:
        settings = dict(num_iters=num_iters, lr=lr, noise=noise, seed=seed, asked_weight=asked_weight)
        super().__init__(datasets, ratios, batch_size, settings, **kwargs)
        self.num_tokens = num_tokens
        self.read_formats = read_formats

    def describe(self, model: nn.Module) -> dict:
        formats = model.loss_format.loss_weight if self.read_formats and model.loss_format is not None else 0.0
        return dict(super().describe(model), formats=formats,
                    num_tokens=self.num_tokens or model.image_tokenizer.num_tokens)

    def run(self, runner: Runner, model: nn.Module) -> None:
        count = self.settings['num_iters']
        runner.logger.info(f'warm-up of the task decoder on described images: {count} steps')
        warm_up_on_descriptions(
            model.task_decoder, self._batches(runner), **self.settings,
            num_tokens=self.num_tokens or model.image_tokenizer.num_tokens,
            text_loss=model.format_loss if self.read_formats else None,
            report=lambda step, loss: runner.logger.info(
                f'warm-up on described images [{step}/{count}]  loss: {loss:.3f}'))

    def _batches(self, runner: Runner) -> Iterator[DescribedImages]:
        device = next(runner.model.parameters()).device
        for batch in runner.build_dataloader(self.loader):
            yield described_images([sample.to(device) for sample in batch['data_samples']])
