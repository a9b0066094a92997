"""Hooks that warm the task decoder up before the first image; each result is kept as a file."""

import copy
import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from mmdet.registry import HOOKS
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn

from ..atomic_files import write_files
from ..datasets.required_files import named_files
from ..instructions import parse_instruction
from ..models.auxiliary import FormatLoss
from .progress import WarmupProgress
from .warmups import train, warm_up_on_simulated_tokens, warm_up_on_text, whole_words

_PACKAGE = Path(__file__).resolve().parents[1]
# What the warm-ups import, and nothing that the backbone or the image tokenizer is made of.
_CODE = ('small_llm', 'models', 'models/layers', 'models/auxiliary', 'instructions', 'datasets', 'datasets/transforms')


@contextmanager
def _own_randomness(seed: int) -> Iterator[None]:
    """Random numbers inside depend on the seed alone, and those outside do not depend on what runs inside."""
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            yield
    finally:
        np.random.set_state(state)


class WarmupHook(Hook):
    """Trains the task decoder before the first image; skipped when the run resumes.

    The result lies in ``cache_dir`` under a name made from everything that it depends on: settings, files of data, the
    weights before it, and the code that it runs. So a run that begins again reads it instead; files of templates are
    known by their names alone. In a distributed run the first process gives it to all.

    Beside the result, under the same name, lies the state of a warm-up that was stopped: a run that begins again goes
    on from it, and gets the same weights.

    Args:
        settings: with ``seed``, of all that is random, and ``num_iters``.
        cache_dir: folder of the files.
        keep_seconds: time between two saved states, s.
    """

    priority = 'LOW'
    title: str
    """How the log calls the warm-up."""

    def __init__(self, settings: dict, cache_dir: str = 'work_dirs/warmup', keep_seconds: float = 30.0) -> None:
        self.settings = settings
        self.cache_dir = Path(cache_dir)
        self.keep_seconds = keep_seconds

    @abstractmethod
    def all_settings(self, model: nn.Module) -> dict:
        """All settings that the result depends on, as JSON takes them."""

    @abstractmethod
    def run(self, runner: Runner, model: nn.Module, progress: WarmupProgress) -> None:
        """Trains ``model.task_decoder`` in place."""

    def files(self) -> Iterable[Path]:
        """Files that the result depends on."""
        return ()

    def check(self, runner: Runner) -> None:
        """Raises a ValueError where the LLM can't be warmed up, before data are read and a training begins."""
        if not (runner._resume or runner._load_from):
            whole_words(getattr(runner.model, 'module', runner.model).task_decoder)

    def before_train(self, runner: Runner) -> None:
        if runner.iter > 0:
            return
        model = getattr(runner.model, 'module', runner.model)
        path = self.cache_dir / f'{self._key(model)}.pth'
        if not path.is_file() and is_main_process():
            self._make(runner, model, path)
        # Other machines may not see this one's files.
        states = [torch.load(path, map_location='cpu', weights_only=True) if is_main_process() else None]
        broadcast_object_list(states)
        model.task_decoder.load_state_dict(states[0])
        runner.logger.info(f'task decoder warmed up, {type(self).__name__}: {path}')

    def _make(self, runner: Runner, model: nn.Module, path: Path) -> None:
        unfinished, count = path.with_suffix('.unfinished.pth'), self.settings['num_iters']
        log = runner.logger.info
        progress = WarmupProgress(self.title, count, log, unfinished, keep_seconds=self.keep_seconds)
        log(
            f'{self.title}: {count} steps before the first image; the result is kept in {path} for runs with the same '
            'settings. For a trial run: tools/train.py --warmup-iters 2'
        )
        if progress.first_step:
            log(f'{self.title} goes on behind step {progress.first_step}')
        # DDP watches the weights themselves and would take these steps for its own, so a copy learns.
        learner = copy.deepcopy(model)
        with _own_randomness(self.settings['seed']):
            self.run(runner, learner, progress)
        write_files({path: learner.task_decoder.state_dict()})
        unfinished.unlink(missing_ok=True)

    def _key(self, model: nn.Module) -> str:
        settings = dict(
            self.all_settings(model), hook=type(self).__name__, words=model.task_decoder.llm.tokenizer.get_vocab()
        )
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        code = [_PACKAGE / 'structures.py']
        code += [file for folder in _CODE for file in (_PACKAGE / folder).glob('*.py')]
        for file in (*sorted(code), *self.files()):
            digest.update(file.read_bytes())
        for name, value in model.task_decoder.state_dict().items():
            digest.update(name.encode())
            digest.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()[:16]


class DatasetWarmupHook(WarmupHook):
    """A warm-up on the samples of data sets whose pipelines load no images.

    Args:
        datasets: configs of the data sets.
        ratios: how often a batch is of each of them.
        batch_size: samples per step.
        settings: with ``num_iters``, too, see :class:`WarmupHook`.
        kwargs: see :class:`WarmupHook`.
    """

    def __init__(
        self, datasets: Sequence[dict], ratios: Sequence[float], batch_size: int, settings: dict, **kwargs
    ) -> None:
        super().__init__(settings, **kwargs)
        self.loader = dict(
            batch_size=batch_size,
            num_workers=0,
            dataset=dict(type='ConcatDataset', datasets=list(datasets)),
            sampler=dict(
                type='OneTaskSampler',
                batch_size=batch_size,
                ratios=tuple(ratios),
                num_batches=settings['num_iters'],
                seed=settings['seed'],
                alone=True,
            ),
        )

    def all_settings(self, model: nn.Module) -> dict:
        return dict(self.settings, loader=self.loader)

    def files(self) -> list[Path]:
        return [path for path in named_files(self.loader) if path.is_file()]

    def batches(self, runner: Runner, progress: WarmupProgress) -> Iterator[dict]:
        """The batches behind those of the steps that are done."""
        sampler = dict(self.loader['sampler'], first_batch=progress.first_step)
        return iter(runner.build_dataloader(dict(self.loader, sampler=sampler)))


@HOOKS.register_module()
class TextWarmupHook(WarmupHook):
    """Warms the task decoder up on text alone before the first image.

    Skipped when the run resumes or loads weights, unless these are of other parts (``tools/convert_weights.py``).

    Args:
        num_iters: optimizer steps.
        batch_size: sequences per step.
        lr: peak learning rate, see :func:`train`.
        noise: see :func:`visionllm_mm.small_llm.warmups.warm_up_on_text`.
        seed: seed of all that is random.
        kwargs: see :class:`WarmupHook`.
    """

    title = 'text-only warm-up'

    def __init__(
        self, num_iters: int = 200, batch_size: int = 16, lr: float = 1e-3, noise: float = 0.5, seed: int = 0, **kwargs
    ) -> None:
        super().__init__(dict(num_iters=num_iters, batch_size=batch_size, lr=lr, noise=noise, seed=seed), **kwargs)
        self._decoder_is_new = False

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        names = checkpoint.get('state_dict', checkpoint)
        self._decoder_is_new = not any('task_decoder.added_tokens.' in name for name in names)

    def before_train(self, runner: Runner) -> None:
        if not runner._load_from or self._decoder_is_new:
            super().before_train(runner)

    def all_settings(self, model: nn.Module) -> dict:
        return dict(self.settings, num_tokens=model.image_tokenizer.num_tokens)

    def run(self, runner: Runner, model: nn.Module, progress: WarmupProgress) -> None:
        accuracy = warm_up_on_text(model.task_decoder, **self.all_settings(model), progress=progress)
        runner.logger.info(f'text-only warm-up done, accuracy {accuracy:.3f}')


@HOOKS.register_module()
class FormatWarmupHook(DatasetWarmupHook):
    """Teaches the task decoder to read output formats off instructions, and nothing else.

    Beside other tasks from the start it hardly learns that (docs/decisions.md#warm-up-on-formats).

    Args:
        datasets: of samples with an ``instruction``; their pipelines load no images.
        ratios: how often a batch is of each of them.
        num_iters: optimizer steps.
        batch_size: instructions per step.
        lr: peak learning rate, see :func:`train`.
        seed: seed of what the pipelines sample.
        kwargs: see :class:`WarmupHook`.
    """

    title = 'warm-up on output formats'

    def __init__(
        self,
        datasets: Sequence[dict],
        ratios: Sequence[float],
        num_iters: int = 400,
        batch_size: int = 16,
        lr: float = 1e-3,
        seed: int = 0,
        **kwargs,
    ) -> None:
        super().__init__(datasets, ratios, batch_size, dict(num_iters=num_iters, lr=lr, seed=seed), **kwargs)

    def run(self, runner: Runner, model: nn.Module, progress: WarmupProgress) -> None:
        loss_format = _find_format_loss(model)
        if loss_format is None:
            raise ValueError(
                'FormatWarmupHook needs a model that learns to read formats: set auxiliary=dict(formats=dict(type='
                "'FormatLoss'))"
            )
        batches = self.batches(runner, progress)

        def find_loss() -> Tensor:
            samples = next(batches)['data_samples']
            instructions = [parse_instruction(sample.instruction, model.vocabulary) for sample in samples]
            return loss_format.loss(model.task_decoder, instructions, samples)

        train(model.task_decoder, find_loss, self.settings['num_iters'], self.settings['lr'], progress)


@HOOKS.register_module()
class SimulatedTokensWarmupHook(DatasetWarmupHook):
    """Teaches the task decoder texts about images whose tokens are simulated from annotations.

    Several of these hooks are run one after the other, as a curriculum: short templates first, then all.

    Args:
        datasets: texts and expressions with ``objects``, see :class:`TextDataset` and
            :class:`ReferringExpressionDataset`; their pipelines load no images.
        ratios: how often a batch is of each of them.
        num_iters: optimizer steps.
        batch_size: texts per step.
        lr: peak learning rate, see :func:`train`.
        noise: see :func:`warm_up_on_simulated_tokens`.
        seed: seed of all that is random.
        num_tokens: tokens per image, some of which are objects; None: as many as the model has. Fewer are faster.
        read_formats: whether the model learns to read output formats, too, where it has a loss for that.
        phrase_weight: see :func:`warm_up_on_simulated_tokens`.
        kwargs: see :class:`WarmupHook`.
    """

    title = 'warm-up on simulated image tokens'

    def __init__(
        self,
        datasets: Sequence[dict],
        ratios: Sequence[float],
        num_iters: int = 4000,
        batch_size: int = 16,
        lr: float = 1e-3,
        noise: float = 0.3,
        seed: int = 0,
        num_tokens: int | None = None,
        read_formats: bool = True,
        phrase_weight: float = 0.0,
        **kwargs,
    ) -> None:
        settings = dict(num_iters=num_iters, lr=lr, noise=noise, seed=seed, phrase_weight=phrase_weight)
        super().__init__(datasets, ratios, batch_size, settings, **kwargs)
        self.num_tokens = num_tokens
        self.read_formats = read_formats

    def all_settings(self, model: nn.Module) -> dict:
        loss_format = _find_format_loss(model) if self.read_formats else None
        formats = 0.0 if loss_format is None else loss_format.loss_weight
        num_tokens = self.num_tokens or model.image_tokenizer.num_tokens
        return dict(super().all_settings(model), formats=formats, num_tokens=num_tokens)

    def run(self, runner: Runner, model: nn.Module, progress: WarmupProgress) -> None:
        device = next(runner.model.parameters()).device
        batches = self.batches(runner, progress)
        warm_up_on_simulated_tokens(
            model.task_decoder,
            ([sample.to(device) for sample in batch['data_samples']] for batch in batches),
            **self.settings,
            num_tokens=self.num_tokens or model.image_tokenizer.num_tokens,
            loss_format=_find_format_loss(model) if self.read_formats else None,
            progress=progress,
        )


def _find_format_loss(model: nn.Module) -> FormatLoss | None:
    return next((part for part in model.auxiliary.values() if isinstance(part, FormatLoss)), None)
