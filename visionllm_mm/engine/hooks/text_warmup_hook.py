"""Runs the text-only warm-up as a step of the recipe, once, and keeps its result as a file."""

import hashlib
import json
from pathlib import Path

import torch
from mmdet.registry import HOOKS
from mmengine.dist import barrier, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...instructions import DETECTION_TEMPLATES
from ...models.text_warmup import warm_up
from ...whole_files import write_files


@HOOKS.register_module()
class TextWarmupHook(Hook):
    """Warms the task decoder up on text alone before the first image (design 3.3).

    Skipped when the run resumes or loads weights, unless these are of other parts (``tools/convert_weights.py``). The
    result lies in ``cache_dir`` under a name made from everything that it depends on, the initial weights included, so
    a second run reads it instead.

    Args:
        num_iters, batch_size, lr, noise, seed: see :func:`visionllm_mm.models.text_warmup.warm_up`.
        cache_dir: folder of the cached files.
    """
    priority = 'LOW'

    def __init__(self, num_iters: int = 200, batch_size: int = 16, lr: float = 1e-3, noise: float = 0.5,
                 seed: int = 0, cache_dir: str = 'work_dirs/text_warmup') -> None:
        self.settings = dict(num_iters=num_iters, batch_size=batch_size, lr=lr, noise=noise, seed=seed)
        self.cache_dir = Path(cache_dir)
        self._decoder_is_new = False

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        names = checkpoint.get('state_dict', checkpoint)
        self._decoder_is_new = not any('task_decoder.added_tokens.' in name for name in names)

    def before_train(self, runner: Runner) -> None:
        if runner.iter > 0 or (runner._load_from and not self._decoder_is_new):
            return
        model = getattr(runner.model, 'module', runner.model)
        path = self.cache_dir / f'{self._key(model)}.pth'
        if not path.is_file() and is_main_process():
            self._run(runner, model, path)
        barrier()
        model.task_decoder.load_state_dict(torch.load(path, map_location='cpu', weights_only=True))
        runner.logger.info(f'task decoder warmed up on text alone, from {path}')

    def _key(self, model: torch.nn.Module) -> str:
        decoder = model.task_decoder
        settings = dict(self.settings, num_tokens=model.image_tokenizer.num_tokens, wordings=DETECTION_TEMPLATES,
                        words=decoder.llm.tokenizer.get_vocab())
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        for name, value in decoder.state_dict().items():
            digest.update(name.encode())
            digest.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()[:16]

    def _run(self, runner: Runner, model: torch.nn.Module, path: Path) -> None:
        runner.logger.info('text-only warm-up of the task decoder: '
                           f'{self.settings["num_iters"]} steps; its result is kept in {path}')
        accuracy = warm_up(
            model.task_decoder, num_tokens=model.image_tokenizer.num_tokens, **self.settings,
            report=lambda step, loss, correct: runner.logger.info(
                f'text-only warm-up [{step}/{self.settings["num_iters"]}]  loss: {loss:.3f}  accuracy: {correct:.3f}'))
        runner.logger.info(f'text-only warm-up done, accuracy {accuracy:.3f}')
        write_files({path: model.task_decoder.state_dict()})
