"""How long a training step takes on this machine's CPU: each of its operations is timed on its own.

The operations come from shapes alone, so a step that does not fit into memory, or takes minutes, can be timed, too. An
operation that a step repeats on equal shapes is timed once.
"""

import statistics
import time
from collections import Counter
from dataclasses import dataclass

import torch
from mmengine.config import Config
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_unflatten

from .meter import Meter
from .plan import training_step
from .shapes_only import ShapesOnly
from .workload import Workload, build_model

aten = torch.ops.aten
# What a step takes beyond the operations of its blocks (Python, autograd, cold caches, losses, optimizer), as a factor:
# the median of 18 measurements of six configs, see docs/planning.md.
_BEYOND = 1.28
# Autocast: the statistics that these keep are float32, PyTorch's rules for shapes have half precision.
_WITH_STATISTICS = (aten.native_batch_norm_backward, aten.native_group_norm_backward)


@dataclass(frozen=True)
class _Layout:
    """A tensor without its numbers."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype

    def make(self) -> Tensor:
        """Numbers in [0, 1), or zeros where they are whole, which are indices that always exist."""
        last = sum((n - 1) * step for n, step in zip(self.shape, self.stride, strict=True))
        size = 1 + last if all(self.shape) else 0
        is_float = self.dtype.is_floating_point
        numbers = torch.rand(size).to(self.dtype) if is_float else torch.zeros(size, dtype=self.dtype)
        return numbers.as_strided(self.shape, self.stride)


def _layout(x: Tensor, operation: object) -> _Layout:
    is_statistic = operation in _WITH_STATISTICS and x.dim() < 3
    return _Layout(tuple(x.shape), tuple(x.stride()), torch.float32 if is_statistic else x.dtype)


class Operations(TorchDispatchMode):
    """Notes which operations run within it, on what, and how often.

    Attributes:
        counts: calls by operation and layout of its inputs.
    """

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[tuple] = Counter()
        self._inputs: dict[tuple, tuple] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        leaves, form = tree_flatten((args, kwargs or {}))
        layouts = [_layout(x, func.overloadpacket) if isinstance(x, Tensor) else x for x in leaves]
        key = func, form, tuple(x if isinstance(x, _Layout) else repr(x) for x in layouts)
        self.counts[key] += 1
        if key not in self._inputs:
            # Sizes, ids and masks are real: what they hold may decide how much there is to do.
            self._inputs[key] = tuple(
                x.clone()
                if isinstance(x, Tensor) and not isinstance(x, FakeTensor) and not x.is_floating_point()
                else layout
                for x, layout in zip(leaves, layouts, strict=True)
            )
        return func(*args, **(kwargs or {}))

    @torch.no_grad()
    def seconds(self, repeat: int = 5, budget: float = 0.3) -> float:
        """Sum of what all operations take, each timed up to ``repeat`` times, as long as that takes ``budget`` s."""
        return sum(count * self.time(key, repeat, budget) for key, count in self.counts.items())

    def time(self, key: tuple, repeat: int, budget: float) -> float:
        """Seconds of one call, the median."""
        func, form, _ = key
        inputs = [x.make() if isinstance(x, _Layout) else x for x in self._inputs[key]]
        args, kwargs = tree_unflatten(inputs, form)
        func(*args, **kwargs)  # the first call sets things up
        taken = []
        while len(taken) < repeat and sum(taken) < budget:
            start = time.perf_counter()
            func(*args, **kwargs)
            taken.append(time.perf_counter() - start)
        return statistics.median(taken)


def seconds_of_step(cfg: Config, work: Workload) -> float:
    """Predicted seconds of a training step on this machine's CPU, in the deformable attention's PyTorch form."""
    with ShapesOnly(), Meter() as meter:
        model = build_model(cfg)
        with Operations() as operations:
            training_step(model, cfg, work, meter)
    return _BEYOND * operations.seconds()
