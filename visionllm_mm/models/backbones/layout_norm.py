"""Normalisation between layouts: layers that read one order of the axes and may hand on another."""

from torch import Tensor, nn


class Permute(nn.Module):
    """Reorders the axes of a tensor.

    Args:
        order: the axes of the input in the order of the output, as in :func:`torch.permute`.
    """

    def __init__(self, *order: int) -> None:
        super().__init__()
        self.order = order

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(self.order)

    def extra_repr(self) -> str:
        return ', '.join(map(str, self.order))


def change_layout(given: str, wanted: str) -> list[nn.Module]:
    """The layers, one or none, that turn ``given`` (such as 'NCHW') into ``wanted`` (such as 'NHWC')."""
    return [] if given == wanted else [Permute(*(given.index(axis) for axis in wanted))]


def layout_norm(norm_layer: str, channels: int, given: str = 'NHWC', wanted: str = 'NHWC') -> nn.Sequential:
    """A norm with the changes of layout before and behind it that it needs.

    A layer norm works on NHWC, a batch norm on NCHW. So the norm's index in the result, which is part of its
    parameters' names, is that of InternImage's published weights.

    Args:
        norm_layer: 'LN' or 'BN'.
        channels: C.
        given: layout of the input.
        wanted: layout of the output.

    Raises:
        ValueError: when ``norm_layer`` is neither.
    """
    if norm_layer == 'LN':
        own, norm = 'NHWC', nn.LayerNorm(channels, eps=1e-6)
    elif norm_layer == 'BN':
        own, norm = 'NCHW', nn.BatchNorm2d(channels)
    else:
        raise ValueError(f"norm_layer must be 'LN' or 'BN', got {norm_layer!r}")
    return nn.Sequential(*change_layout(given, own), norm, *change_layout(own, wanted))
