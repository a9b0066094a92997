"""What the warm-ups of the task decoder share: each is run once, and its result is kept as a file."""

import copy
import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from ...datasets.required_files import named_files
from ...whole_files import write_files

_PACKAGE = Path(__file__).resolve().parents[2]


@contextmanager
def _own_randomness(seed: int) -> Iterator[None]:
    """What is drawn inside depends on the seed alone, and changes nothing that is drawn outside."""
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
    weights before it, and this package's code of models, instructions and data. So a run that begins again reads it
    instead; files of wordings are known by their names alone. In a distributed run the first process gives it to all.

    Args:
        settings: with ``seed``, of all that is drawn at random.
        cache_dir: folder of the files.
    """
    priority = 'LOW'

    def __init__(self, settings: dict, cache_dir: str = 'work_dirs/warmup') -> None:
        self.settings = settings
        self.cache_dir = Path(cache_dir)

    @abstractmethod
    def describe(self, model: nn.Module) -> dict:
        """All settings that the result depends on, as JSON takes them."""

    @abstractmethod
    def run(self, runner: Runner, model: nn.Module) -> None:
        """Trains ``model.task_decoder`` in place."""

    def files(self) -> Iterable[Path]:
        """Files that the result depends on."""
        return ()

    def before_train(self, runner: Runner) -> None:
        if runner.iter > 0:
            return
        model = getattr(runner.model, 'module', runner.model)
        path = self.cache_dir / f'{self._key(model)}.pth'
        if not path.is_file() and is_main_process():
            # DDP watches the weights themselves and would take these steps for its own, so a copy learns.
            learner = copy.deepcopy(model)
            with _own_randomness(self.settings['seed']):
                self.run(runner, learner)
            write_files({path: learner.task_decoder.state_dict()})
        # Other machines may not see this one's files.
        states = [torch.load(path, map_location='cpu', weights_only=True) if is_main_process() else None]
        broadcast_object_list(states)
        model.task_decoder.load_state_dict(states[0])
        runner.logger.info(f'task decoder warmed up, {type(self).__name__}: {path}')

    def _key(self, model: nn.Module) -> str:
        settings = dict(self.describe(model), hook=type(self).__name__,
                        words=model.task_decoder.llm.tokenizer.get_vocab())
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        code = [file for part in ('models', 'instructions', 'datasets') for file in (_PACKAGE / part).rglob('*.py')]
        for file in (*sorted(code), *self.files()):
            digest.update(file.read_bytes())
        for name, value in model.task_decoder.state_dict().items():
            digest.update(name.encode())
            digest.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()[:16]


class ToldWarmupHook(WarmupHook):
    """A warm-up on the samples of data sets whose pipelines load no images.

    Args:
        datasets: configs of the data sets.
        ratios: how often a batch is of each of them.
        batch_size: samples per step.
        settings: with ``num_iters``, too, see :class:`WarmupHook`.
        kwargs: see :class:`WarmupHook`.
    """

    def __init__(self, datasets: Sequence[dict], ratios: Sequence[float], batch_size: int, settings: dict,
                 **kwargs) -> None:
        super().__init__(settings, **kwargs)
        self.loader = dict(
            batch_size=batch_size, num_workers=0, dataset=dict(type='ConcatDataset', datasets=list(datasets)),
            sampler=dict(type='OneTaskSampler', batch_size=batch_size, ratios=tuple(ratios),
                         num_batches=settings['num_iters'], seed=settings['seed'], alone=True))

    def describe(self, model: nn.Module) -> dict:
        return dict(self.settings, loader=self.loader)

    def files(self) -> list[Path]:
        return [path for path in named_files(self.loader) if path.is_file()]
