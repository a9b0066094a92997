"""Runs the warm-up on described images as a step of the recipe, before the first image."""

from collections.abc import Iterator, Sequence

from mmdet.registry import HOOKS
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...models.description_warmup import DescribedImages, described_images, warm_up_on_descriptions


@HOOKS.register_module()
class DescriptionWarmupHook(Hook):
    """Teaches the task decoder to find and to say what texts ask of described images; skipped when the run resumes.

    Several of these hooks are run one after the other, as a curriculum: short wordings first, then all.

    Args:
        datasets: texts and expressions with ``objects``, see :class:`TextDataset` and
            :class:`ReferringExpressionDataset`; their pipelines load no images.
        ratios: how often a batch is of each of them.
        num_iters, lr, noise, seed, place_weight: see :func:`warm_up_on_descriptions`.
        batch_size: texts per step.
        num_tokens: tokens per image, some of which are objects; None: as many as the model has. Fewer are faster.
        read_formats: whether the model learns to read output formats, too, where it has a loss for that.
    """
    priority = 'LOW'

    def __init__(self, datasets: Sequence[dict], ratios: Sequence[float], num_iters: int = 4000, batch_size: int = 16,
                 lr: float = 1e-3, noise: float = 0.3, seed: int = 0, num_tokens: int | None = None,
                 read_formats: bool = True, place_weight: float = 0.0) -> None:
        self.loader = dict(
            batch_size=batch_size, num_workers=0, dataset=dict(type='ConcatDataset', datasets=list(datasets)),
            sampler=dict(type='OneTaskSampler', batch_size=batch_size, ratios=tuple(ratios), num_batches=num_iters,
                         seed=seed))
        self.settings = dict(num_iters=num_iters, lr=lr, noise=noise, seed=seed, place_weight=place_weight)
        self.num_tokens = num_tokens
        self.read_formats = read_formats

    def before_train(self, runner: Runner) -> None:
        if runner.iter > 0:
            return
        model = getattr(runner.model, 'module', runner.model)
        states = [None]
        if is_main_process():
            count = self.settings['num_iters']
            runner.logger.info(f'warm-up of the task decoder on described images: {count} steps')
            warm_up_on_descriptions(
                model.task_decoder, self._batches(runner), **self.settings,
                num_tokens=self.num_tokens or model.image_tokenizer.num_tokens,
                text_loss=model.format_loss if self.read_formats else None,
                report=lambda step, loss: runner.logger.info(
                    f'warm-up on described images [{step}/{count}]  loss: {loss:.3f}'))
            states = [{name: value.cpu() for name, value in model.task_decoder.state_dict().items()}]
        broadcast_object_list(states)
        model.task_decoder.load_state_dict(states[0])

    def _batches(self, runner: Runner) -> Iterator[DescribedImages]:
        device = next(runner.model.parameters()).device
        for batch in runner.build_dataloader(self.loader):
            yield described_images([sample.to(device) for sample in batch['data_samples']])
