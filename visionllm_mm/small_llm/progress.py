"""The log lines of a warm-up, and its state in a file, from which a stopped one goes on."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Protocol

import numpy as np
import torch

from ..atomic_files import write_files

_FIRST_LINE = 2
"""The first step that is logged: step 1 takes longer than the others, and the time left is not estimated by it."""


class _HasState(Protocol):
    def state_dict(self) -> dict: ...

    def load_state_dict(self, state: dict) -> object: ...


class WarmupProgress:
    """Logs the steps of a warm-up with the time left, and keeps its state in a file.

    A warm-up that goes on gives the weights of one that was never stopped: the state has weights, optimizer and all
    random numbers.

    Args:
        name: how the log calls the warm-up.
        num_iters: its steps.
        log: takes a line.
        path: file of the state; None: it is not kept.
        log_seconds: least time between two lines, s.
        keep_seconds: least time between two saved states, s.

    Attributes:
        first_step: steps that were done before.
    """

    def __init__(
        self,
        name: str,
        num_iters: int,
        log: Callable[[str], None],
        path: Path | None = None,
        log_seconds: float = 10.0,
        keep_seconds: float = 30.0,
    ) -> None:
        self.name = name
        self.num_iters = num_iters
        self.log = log
        self.path = path
        self.log_seconds = log_seconds
        self.keep_seconds = keep_seconds
        self._kept = torch.load(path, map_location='cpu', weights_only=True) if path and path.is_file() else None
        self.first_step = 0 if self._kept is None else self._kept['step']
        self._noted: dict[str, list[float]] = defaultdict(list, loss=[])
        self._first_ended = self._last_line = self._last_kept = monotonic()

    def restore(self, parts: Mapping[str, _HasState], generator: torch.Generator | None) -> None:
        """Sets all parts and random numbers to the state of the file, where there is one."""
        if self._kept is not None:
            for name, part in parts.items():
                part.load_state_dict(self._kept['parts'][name])
            _set_random_state(self._kept['random'], generator)
            self._kept = None

    def note(self, **values: float) -> None:
        """Adds values of a step, whose means since the last line are logged."""
        for name, value in values.items():
            self._noted[name].append(value)

    def after_step(self, step: int, parts: Mapping[str, _HasState], generator: torch.Generator | None) -> None:
        """Logs and keeps what is due behind a step, which is counted from 1."""
        now = monotonic()
        if step == self.first_step + 1:
            self._first_ended = now
        done = step - self.first_step - 1
        due = now - self._last_line >= self.log_seconds and done > 0
        if due or step == self.num_iters or step == self.first_step + _FIRST_LINE:
            left = (now - self._first_ended) / max(1, done) * (self.num_iters - step)
            eta = f'  eta: {timedelta(seconds=round(left))}' if step < self.num_iters else ''
            noted = {name: sum(values) / len(values) for name, values in self._noted.items() if values}
            means = ''.join(f'  {name}: {mean:.3f}' for name, mean in noted.items())
            self.log(f'{self.name} [{step}/{self.num_iters}]{eta}{means}')
            for values in self._noted.values():
                values.clear()
            self._last_line = now
        if self.path is not None and step < self.num_iters and now - self._last_kept >= self.keep_seconds:
            states = {name: part.state_dict() for name, part in parts.items()}
            write_files({self.path: dict(step=step, parts=states, random=_random_state(generator))})
            self._last_kept = monotonic()


def _random_state(generator: torch.Generator | None) -> dict:
    kind, keys, *rest = np.random.get_state()
    return dict(
        numpy=[kind, torch.from_numpy(keys.astype(np.int64)), *rest],
        torch=torch.get_rng_state(),
        cuda=torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        generator=None if generator is None else generator.get_state(),
    )


def _set_random_state(state: Mapping, generator: torch.Generator | None) -> None:
    kind, keys, *rest = state['numpy']
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state['torch'])
    if state['cuda']:
        torch.cuda.set_rng_state_all(state['cuda'])
    if generator is not None:
        generator.set_state(state['generator'])
