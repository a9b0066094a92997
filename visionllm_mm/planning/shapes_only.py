"""Running a model on shapes alone: no weights, no computation, next to no memory."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from unittest import mock

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_any, tree_map_only

aten = torch.ops.aten


class ShapesOnly(TorchDispatchMode):
    """Within it, floating tensors have shape, type and storage size, but no numbers; integers computed from integers
    alone are real.

    So models build and run, backward pass included, that read sizes, ids or masks back into Python. The floating
    tensors are PyTorch's fake tensors (data on the meta device) that pretend to be on the CPU, so that autocast and the
    choice of attention kernels are those of the CPU. Python numbers read from them are 1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fake = FakeTensorMode(allow_non_fake_inputs=True)
        self._patches = [
            # Module.to() swaps fake parameters with their new form, which PyTorch refuses where one is referred to
            # weakly.
            mock.patch('torch.utils.swap_tensors', _take_over),
            # trunc_normal_() samples until all numbers are within its bounds, without end where there are no numbers.
            mock.patch('torch.nn.init._no_grad_trunc_normal_', lambda tensor, *args, **kwargs: tensor),
        ]

    def __enter__(self) -> 'ShapesOnly':
        for patch in self._patches:
            patch.start()
        self._warnings = warnings.catch_warnings()
        self._warnings.__enter__()
        # PyTorch's own deepcopy() of a parameter asks for it.
        warnings.filterwarnings('ignore', message='Accessing the data pointer of FakeTensor')
        return super().__enter__()

    def __exit__(self, *error) -> None:
        for patch in self._patches:
            patch.stop()
        self._warnings.__exit__(*error)
        super().__exit__(*error)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is aten.index.Tensor:
            args = (args[0], _as_positions(args[1]))
        if not tree_any(lambda x: isinstance(x, FakeTensor), (args, kwargs)):
            return self._without_shapes(func, args, kwargs)
        if func is aten._local_scalar_dense.default:
            kind = args[0].dtype
            return 1.0 if kind.is_floating_point else kind == torch.bool or 1
        if func.overloadpacket is aten.grid_sampler_2d:
            # PyTorch's own shape rule runs dozens of operations.
            value, grid = args[:2]
            return self._empty(value, (*value.shape[:2], *grid.shape[1:3]))
        if func.overloadpacket is aten.grid_sampler_2d_backward:
            value, grid, wanted = args[1], args[2], args[6]
            return self._empty(value) if wanted[0] else None, self._empty(grid) if wanted[1] else None
        with self.fake:
            return func(*args, **kwargs)

    def _without_shapes(self, func, args, kwargs):
        kind = kwargs.get('dtype') or torch.get_default_dtype()
        makes_floats = not tree_any(lambda x: isinstance(x, Tensor), (args, kwargs)) and kind.is_floating_point
        # Not computed for real: the weights of a model would fill the memory. What an integer factory or a function of
        # integers returns is small.
        if makes_floats and func.overloadpacket in (
            aten.empty,
            aten.zeros,
            aten.ones,
            aten.rand,
            aten.randn,
            aten.empty_strided,
        ):
            with self.fake:
                return func(*args, **kwargs)
        return tree_map_only(Tensor, self._floats_to_shapes, func(*args, **kwargs))

    def _floats_to_shapes(self, x: Tensor) -> Tensor:
        return self._empty(x) if x.is_floating_point() or x.is_complex() else x

    def _empty(self, like: Tensor, shape: tuple[int, ...] | None = None) -> Tensor:
        with self.fake:
            return torch.empty(like.shape if shape is None else shape, dtype=like.dtype)


def _as_positions(indices: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Indices with real masks as the positions that they select, so that the shape of what is taken is known."""
    found = []
    for index in indices:
        is_real_mask = index is not None and index.dtype == torch.bool and not isinstance(index, FakeTensor)
        found += index.nonzero().unbind(dim=1) if is_real_mask else [index]
    return found


def _take_over(parameter: Tensor, new: Tensor) -> None:
    parameter.data = new.data


class _CompiledAttention(torch.autograd.Function):
    """mmcv's compiled deformable attention as far as shapes go: it keeps its inputs and nothing it samples."""

    @staticmethod
    def forward(ctx, value: Tensor, locations: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(value, locations, weights)
        return value.new_empty(len(value), locations.shape[1], value.shape[2] * value.shape[3])

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, ...]:
        return tuple(torch.empty_like(x) for x in ctx.saved_tensors)


@contextmanager
def compiled_attention() -> Iterator[None]:
    """Within it, deformable attention and DCNv3 take the memory of mmcv's compiled operator, the one that GPUs use,
    instead of that of its PyTorch form."""

    def attend(value: Tensor, shapes: object, locations: Tensor, weights: Tensor) -> Tensor:
        return _CompiledAttention.apply(value, locations, weights)

    name = 'multi_scale_deformable_attn_pytorch'
    with (
        mock.patch(f'mmcv.ops.multi_scale_deform_attn.{name}', attend),
        mock.patch(f'visionllm_mm.models.backbones.dcnv3.{name}', attend),
    ):
        yield
