"""DCNv3, the deformable convolution of InternImage (arXiv 2211.05778, section 3.1), without an operator of its own.

With one level, a head per group and k * k points per head, multi-scale deformable attention computes the same sum, so
mmcv's does the work: its compiled op on a GPU, its PyTorch form elsewhere.
"""

import torch
from mmcv.cnn import build_activation_layer
from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction, multi_scale_deformable_attn_pytorch
from torch import Tensor, nn
from torch.nn import functional as F

from .layout_norm import layout_norm


def dcnv3(
    value: Tensor,
    offset: Tensor,
    mask: Tensor,
    groups: int,
    kernel_size: int = 3,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    offset_scale: float = 1.0,
) -> Tensor:
    """Weighted sums of bilinear samples around every output position; what lies outside the map is zero.

    Half precision is computed in float32: the compiled op has no bfloat16, and positions need the digits.

    Args:
        value: (B, H, W, C).
        offset: (B, H', W', groups * k * k * 2), (x, y) pairs in pixels of ``value``; within a group, the point at
            (x, y) of the kernel comes at x * k + y.
        mask: (B, H', W', groups * k * k), weights in the same order.
        groups: number of channel groups, each with offsets and weights of its own; divides C.
        kernel_size: k.
        stride: distance of neighboring output positions, px.
        padding: by how much the output positions reach over each border, px.
        dilation: distance of neighboring points of the kernel, px.
        offset_scale: factor on the kernel's points and the offsets.

    Returns:
        (B, H', W', C) in ``value``'s type, with H' = (H + 2 padding - dilation (k - 1) - 1) // stride + 1.

    Raises:
        ValueError: when C is not a multiple of ``groups``, or ``offset`` or ``mask`` has another shape.
    """
    batch, height, width, channels = value.shape
    if groups < 1 or channels % groups:
        raise ValueError(f'groups must divide the channels, got {channels} channels and groups={groups}')
    reach = dilation * (kernel_size - 1)
    out_height, out_width = ((size + 2 * padding - reach - 1) // stride + 1 for size in (height, width))
    points = kernel_size**2
    for name, tensor, last in (('offset', offset, groups * points * 2), ('mask', mask, groups * points)):
        if tensor.shape != (batch, out_height, out_width, last):
            raise ValueError(
                f'{name} has shape {tuple(tensor.shape)}, but for an input of {height} x {width} and '
                f'groups={groups} it must have {(batch, out_height, out_width, last)}'
            )
    dtype = torch.promote_types(value.dtype, torch.float32)
    # (B, H, W, groups * points * 2) -> (B, H, W, groups, points, 2)
    offset = offset.to(dtype).reshape(batch, out_height, out_width, groups, points, 2)
    steps = [torch.arange(n, device=value.device, dtype=dtype) for n in (kernel_size, out_width, out_height)]
    along = steps[0] * dilation - reach // 2
    kernel = torch.cartesian_prod(along, along)  # x varies slowest
    center_x, center_y = (step * stride + reach // 2 + 0.5 - padding for step in steps[1:])
    centers = torch.stack(torch.meshgrid(center_x, center_y, indexing='xy'), dim=-1)[:, :, None, None]
    locations = (centers + (kernel + offset) * offset_scale) / offset.new_tensor([width, height])
    sampled = _attend(
        value.to(dtype).reshape(batch, height * width, groups, channels // groups),
        (height, width),
        locations.flatten(1, 2).unsqueeze(3),
        mask.to(dtype).reshape(batch, -1, groups, 1, points),
    )
    # (B, H * W, C) -> (B, H, W, C)
    return sampled.view(batch, out_height, out_width, channels).to(value.dtype)


def _attend(value: Tensor, size: tuple[int, int], locations: Tensor, weights: Tensor) -> Tensor:
    """mmcv's deformable attention on one level: (B, H * W, heads, C / heads) -> (B, H' * W', C)."""
    if not value.is_cuda:
        return multi_scale_deformable_attn_pytorch(value, [size], locations, weights)
    shapes = torch.tensor([size], device=value.device)
    # The last argument is how many images are done at once; it has to divide the batch.
    return MultiScaleDeformableAttnFunction.apply(
        value.contiguous(), shapes, shapes.new_zeros(1), locations.contiguous(), weights.contiguous(), len(value)
    )


class DCNv3(nn.Module):
    """Deformable convolution whose offsets and weights are read off the input; keeps the size.

    Names of the parameters are those of the published weights.

    Args:
        channels: C.
        groups: number of channel groups with offsets and weights of their own; divides C.
        kernel_size: k, odd.
        dw_kernel_size: kernel of the depthwise convolution that offsets and weights are read off, odd; None: k.
        offset_scale: factor on the kernel's points and the offsets.
        act_layer: activation behind the depthwise convolution: 'GELU', 'ReLU', 'SiLU' or another one mmcv knows.
        norm_layer: norm behind the depthwise convolution, 'LN' or 'BN'.
        center_feature_scale: whether each group mixes in what stands at the position itself, to a learned extent.

    Raises:
        ValueError: when C is not a multiple of ``groups``, a kernel size is even, or the norm is unknown.
    """

    def __init__(
        self,
        channels: int,
        groups: int,
        kernel_size: int = 3,
        dw_kernel_size: int | None = None,
        offset_scale: float = 1.0,
        act_layer: str = 'GELU',
        norm_layer: str = 'LN',
        center_feature_scale: bool = False,
    ) -> None:
        super().__init__()
        if groups < 1 or channels % groups:
            raise ValueError(f'groups must divide the channels, got channels={channels} and groups={groups}')
        dw_kernel_size = kernel_size if dw_kernel_size is None else dw_kernel_size
        if not kernel_size % 2 or not dw_kernel_size % 2:
            raise ValueError(
                'kernel_size and dw_kernel_size must be odd to keep the size of the map, got '
                f'{kernel_size} and {dw_kernel_size}'
            )
        self.groups, self.kernel_size, self.offset_scale = groups, kernel_size, offset_scale
        self.dw_conv = nn.Sequential(
            nn.Conv2d(channels, channels, dw_kernel_size, padding=dw_kernel_size // 2, groups=channels),
            layout_norm(norm_layer, channels, 'NCHW', 'NHWC'),
            build_activation_layer(dict(type=act_layer)),
        )
        self.offset = nn.Linear(channels, groups * kernel_size**2 * 2)
        self.mask = nn.Linear(channels, groups * kernel_size**2)
        self.input_proj = nn.Linear(channels, channels)
        self.output_proj = nn.Linear(channels, channels)
        self.center_feature_scale = center_feature_scale
        if center_feature_scale:
            self.center_feature_scale_proj_weight = nn.Parameter(torch.zeros(groups, channels))
            self.center_feature_scale_proj_bias = nn.Parameter(torch.zeros(groups))
        # Starts as a plain mean over the kernel.
        for layer in (self.offset, self.mask):
            nn.init.zeros_(layer.weight)
        for layer in (self.input_proj, self.output_proj):
            nn.init.xavier_uniform_(layer.weight)
        for layer in (self.offset, self.mask, self.input_proj, self.output_proj):
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        value = self.input_proj(x)
        # (B, H, W, C) -> (B, C, H, W)
        query = self.dw_conv(x.permute(0, 3, 1, 2))
        # (B, H, W, groups * points), softmax over the points of a group
        mask = self.mask(query).unflatten(-1, (self.groups, -1)).softmax(dim=-1).flatten(-2)
        out = dcnv3(
            value,
            self.offset(query),
            mask,
            self.groups,
            self.kernel_size,
            padding=self.kernel_size // 2,
            offset_scale=self.offset_scale,
        )
        if self.center_feature_scale:
            scale = F.linear(query, self.center_feature_scale_proj_weight, self.center_feature_scale_proj_bias)
            # (B, H, W, groups) -> (B, H, W, C)
            scale = scale.sigmoid().repeat_interleave(value.shape[-1] // self.groups, dim=-1)
            out = out * (1 - scale) + value * scale
        return self.output_proj(out)
