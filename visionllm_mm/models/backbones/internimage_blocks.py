"""The blocks of InternImage (arXiv 2211.05778, section 3.2); feature maps are (B, H, W, C) throughout.

Names of the parameters are those of the published weights.
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from mmcv.cnn import build_activation_layer
from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .dcnv3 import DCNv3
from .layout_norm import change_layout, layout_norm


def stem(channels: int, act_layer: str, norm_layer: str) -> nn.Sequential:
    """(B, 3, H, W) -> (B, H / 4, W / 4, ``channels``), sizes rounded up."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, channels // 2, 3, stride=2, padding=1),
            norm1=layout_norm(norm_layer, channels // 2, 'NCHW', 'NCHW'),
            act=build_activation_layer(dict(type=act_layer)),
            conv2=nn.Conv2d(channels // 2, channels, 3, stride=2, padding=1),
            norm2=layout_norm(norm_layer, channels, 'NCHW', 'NHWC'),
        )
    )


def downsampling(channels: int, norm_layer: str) -> nn.Sequential:
    """(B, H, W, ``channels``) -> (B, H / 2, W / 2, 2 ``channels``), sizes rounded up."""
    return nn.Sequential(
        OrderedDict(
            layout=change_layout('NHWC', 'NCHW')[0],
            conv=nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1, bias=False),
            norm=layout_norm(norm_layer, 2 * channels, 'NCHW', 'NHWC'),
        )
    )


def feed_forward(channels: int, mlp_ratio: float, act_layer: str, drop_rate: float) -> nn.Sequential:
    """(..., ``channels``) -> (..., ``channels``)."""
    hidden = int(channels * mlp_ratio)
    layers = nn.Sequential(
        OrderedDict(
            fc1=nn.Linear(channels, hidden),
            act=build_activation_layer(dict(type=act_layer)),
            drop1=nn.Dropout(drop_rate),
            fc2=nn.Linear(hidden, channels),
            drop2=nn.Dropout(drop_rate),
        )
    )
    for layer in (layers.fc1, layers.fc2):
        nn.init.trunc_normal_(layer.weight, std=0.02)
        nn.init.zeros_(layer.bias)
    return layers


class InternImageBlock(nn.Module):
    """DCNv3 and a feed-forward network, each with norms and added to its input.

    Args:
        channels: C.
        groups: groups of DCNv3; divides C.
        mlp_ratio: hidden width of the feed-forward network / C.
        drop_rate: dropout in the feed-forward network, in [0, 1).
        drop_path: how often an image skips each of the two parts while training, in [0, 1).
        act_layer: activation, as mmcv names it.
        norm_layer: 'LN' or 'BN', inside DCNv3; the block's own norms are layer norms.
        post_norm: whether the norms come behind the two parts and not before them.
        res_post_norm: whether there are norms before and behind them.
        layer_scale: initial value of a learned factor per channel on what is added; None: no factor.
        offset_scale: of DCNv3.
        dw_kernel_size: of DCNv3.
        center_feature_scale: of DCNv3.
        with_cp: whether to save memory in training: intermediate results are computed again for the gradients. The
            running statistics of batch norms then count each batch twice.
    """

    def __init__(
        self,
        channels: int,
        groups: int,
        *,
        mlp_ratio: float,
        drop_rate: float,
        drop_path: float,
        act_layer: str,
        norm_layer: str,
        post_norm: bool,
        res_post_norm: bool,
        layer_scale: float | None,
        offset_scale: float,
        dw_kernel_size: int | None,
        center_feature_scale: bool,
        with_cp: bool,
    ) -> None:
        super().__init__()
        self.post_norm, self.with_cp = post_norm, with_cp
        self.norm1 = layout_norm('LN', channels)
        self.dcn = DCNv3(
            channels,
            groups,
            dw_kernel_size=dw_kernel_size,
            offset_scale=offset_scale,
            act_layer=act_layer,
            norm_layer=norm_layer,
            center_feature_scale=center_feature_scale,
        )
        self.norm2 = layout_norm('LN', channels)
        self.mlp = feed_forward(channels, mlp_ratio, act_layer, drop_rate)
        self.res_post_norm1 = layout_norm('LN', channels) if res_post_norm else None
        self.res_post_norm2 = layout_norm('LN', channels) if res_post_norm else None
        for name in ('gamma1', 'gamma2'):
            self.register_parameter(
                name, None if layer_scale is None else nn.Parameter(torch.full((channels,), float(layer_scale)))
            )
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        if self.with_cp and self.training:
            return checkpoint(self._forward, x, use_reentrant=False)
        return self._forward(x)

    def _forward(self, x: Tensor) -> Tensor:
        x = x + self._change(x, self.dcn, self.norm1, self.res_post_norm1, self.gamma1)
        return x + self._change(x, self.mlp, self.norm2, self.res_post_norm2, self.gamma2)

    def _change(
        self, x: Tensor, part: nn.Module, norm: nn.Module, res_post_norm: nn.Module | None, gamma: Tensor | None
    ) -> Tensor:
        change = norm(part(x)) if self.post_norm else part(norm(x))
        if res_post_norm is not None:
            change = res_post_norm(change)
        return self.drop_path(change if gamma is None else gamma * change)


class InternImageLevel(nn.Module):
    """The blocks of one resolution.

    Args:
        channels: C.
        groups: groups of DCNv3; divides C.
        drop_path: of the blocks, one after another; their number is the number of blocks.
        post_norm_block_ids: indices of the blocks that a further norm follows.
        downsample: whether to have ``downsample``, which leads on to the next level.
        norm_layer: 'LN' or 'BN', inside DCNv3 and behind the downsampling.
        post_norm: as in :class:`InternImageBlock`.
        center_feature_scale: as in :class:`InternImageBlock`.
        block: the other arguments of :class:`InternImageBlock`.
    """

    def __init__(
        self,
        channels: int,
        groups: int,
        *,
        drop_path: Sequence[float],
        post_norm_block_ids: Sequence[int],
        downsample: bool,
        norm_layer: str,
        post_norm: bool,
        center_feature_scale: bool,
        **block,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            InternImageBlock(
                channels,
                groups,
                drop_path=rate,
                norm_layer=norm_layer,
                post_norm=post_norm,
                center_feature_scale=center_feature_scale,
                **block,
            )
            for rate in drop_path
        )
        self.norm = layout_norm('LN', channels) if not post_norm or center_feature_scale else None
        self.post_norms = nn.ModuleList(layout_norm('LN', channels) for _ in post_norm_block_ids)
        self.post_norm_block_ids = list(post_norm_block_ids)
        self.downsample = downsampling(channels, norm_layer) if downsample else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C), before the downsampling."""
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in self.post_norm_block_ids:
                x = self.post_norms[self.post_norm_block_ids.index(i)](x)
        return x if self.norm is None else self.norm(x)
