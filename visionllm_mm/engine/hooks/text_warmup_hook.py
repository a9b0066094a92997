"""Runs the text-only warm-up as a step of the recipe."""

from mmdet.registry import HOOKS
from mmengine.runner import Runner
from torch import nn

from ...models.text_warmup import warm_up
from .warmup_hook import WarmupHook


@HOOKS.register_module()
class TextWarmupHook(WarmupHook):
    """Warms the task decoder up on text alone before the first image (design 3.3).

    Skipped when the run resumes or loads weights, unless these are of other parts (``tools/convert_weights.py``).

    Args:
        num_iters, batch_size, lr, noise, seed: see :func:`visionllm_mm.models.text_warmup.warm_up`.
        kwargs: see :class:`WarmupHook`.
    """

    def __init__(self, num_iters: int = 200, batch_size: int = 16, lr: float = 1e-3, noise: float = 0.5,
                 seed: int = 0, **kwargs) -> None:
        super().__init__(dict(num_iters=num_iters, batch_size=batch_size, lr=lr, noise=noise, seed=seed), **kwargs)
        self._decoder_is_new = False

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        names = checkpoint.get('state_dict', checkpoint)
        self._decoder_is_new = not any('task_decoder.added_tokens.' in name for name in names)

    def before_train(self, runner: Runner) -> None:
        if not runner._load_from or self._decoder_is_new:
            super().before_train(runner)

    def describe(self, model: nn.Module) -> dict:
        return dict(self.settings, num_tokens=model.image_tokenizer.num_tokens)

    def run(self, runner: Runner, model: nn.Module) -> None:
        count = self.settings['num_iters']
        runner.logger.info(f'text-only warm-up of the task decoder: {count} steps')
        accuracy = warm_up(
            model.task_decoder, **self.describe(model), report=lambda step, loss, correct: runner.logger.info(
                f'text-only warm-up [{step}/{count}]  loss: {loss:.3f}  accuracy: {correct:.3f}'))
        runner.logger.info(f'text-only warm-up done, accuracy {accuracy:.3f}')
