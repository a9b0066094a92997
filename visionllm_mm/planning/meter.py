"""Counts floating-point operations and live memory of what runs within it, per phase."""

import weakref
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import conv_flop_count, flop_registry, sdpa_backward_flop_count, sdpa_flop_count

aten = torch.ops.aten
OTHER = 'other'


def _cpu_attention(query, key, value, *args, out_val=None, **kwargs) -> int:
    return sdpa_flop_count(query.shape, key.shape, value.shape)


def _cpu_attention_backward(grad, query, key, value, *args, out_val=None, **kwargs) -> int:
    return sdpa_backward_flop_count(grad.shape, query.shape, key.shape, value.shape)


def _convolution_backward(
    grad,
    inputs,
    weight,
    _bias,
    _stride,
    _padding,
    _dilation,
    transposed,
    _output_padding,
    _groups,
    wanted,
    out_val=None,
) -> int:
    # The gradients of inputs and weight take as many operations as the convolution itself, each.
    return conv_flop_count(inputs.shape, weight.shape, grad.shape, transposed) * (wanted[0] + wanted[1])


# PyTorch's registry lacks the CPU's attention kernel, and takes a grouped convolution for a full one when it counts the
# gradient of the weight: for InternImage-H 40 instead of 23 * 10^12 operations of the backbone's backward pass.
FORMULAS = dict(flop_registry) | {
    aten.convolution_backward: _convolution_backward,
    aten._scaled_dot_product_flash_attention_for_cpu: _cpu_attention,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: _cpu_attention_backward,
}


class Meter(TorchDispatchMode):
    """Works on real tensors and on those of :class:`ShapesOnly`, which has to be entered first.

    Operations: a multiply-add of a matrix product, a convolution or an attention is two; nothing else is counted, so
    not the sampling of deformable attention, norms, activations, embeddings or the optimizer's step. Attention counts
    all pairs of queries and keys, those that the mask forbids included. What gradient checkpointing computes again
    counts to the backward pass of its phase.

    Memory: bytes of all storages that operations returned and that are still referenced, autograd's saved tensors
    included. Not seen are work spaces within an operation and what the allocator keeps.

    Attributes:
        flops: by (phase, 'forward' or 'backward').
        live: bytes.
        peak: the most bytes since :meth:`reset_peak`.
        peak_at: phase and direction of the peak.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops: Counter[tuple[str, str]] = Counter()
        self.live = self.peak = 0
        self.peak_at = (OTHER, 'forward')
        self._phase = self._backward_phase = OTHER
        self._sizes: dict[int, int] = {}
        # Nodes of autograd are numbered in the order of the forward pass: a phase is a range of numbers.
        self._starts: list[int] = [0]
        self._names: list[str] = [OTHER]

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Counts what runs within it, and its backward pass, under a name."""
        outer = self._phase
        self._begin(name)
        try:
            yield
        finally:
            self._begin(outer)

    def _begin(self, name: str) -> None:
        self._phase = name
        self._starts.append(torch._C._autograd._get_sequence_nr())
        self._names.append(name)

    def reset_peak(self) -> None:
        self.peak = self.live

    def track(self, tensors: object) -> None:
        """Counts the storages of tensors that were made elsewhere."""
        for x in tree_leaves(tensors):
            if isinstance(x, Tensor):
                self._track(x, (self._phase, 'forward'))

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        where = self._where()
        formula = FORMULAS.get(func.overloadpacket)
        if formula is not None:
            self.flops[where] += formula(*args, **(kwargs or {}), out_val=out)
        for x in tree_leaves(out):
            if isinstance(x, Tensor):
                self._track(x, where)
        return out

    def _where(self) -> tuple[str, str]:
        node = torch._C._current_autograd_node()
        if node is None:
            return self._phase, 'forward'
        number = node._sequence_nr()
        # The nodes that add up gradients have the largest number there is: they belong to the phase that went before.
        if number < 2**62:
            self._backward_phase = self._names[bisect_right(self._starts, number) - 1]
        return self._backward_phase, 'backward'

    def _track(self, x: Tensor, where: tuple[str, str]) -> None:
        storage = x.untyped_storage()
        key = storage._cdata
        if key in self._sizes or not (size := storage.nbytes()):
            return
        self._sizes[key] = size
        weakref.finalize(storage, self._free, key).atexit = False
        self.live += size
        if self.live > self.peak:
            self.peak, self.peak_at = self.live, where

    def _free(self, key: int) -> None:
        self.live -= self._sizes.pop(key)
