"""InternImage (arXiv 2211.05778) as a backbone: the paper's InternImage-H and its smaller siblings.

No compiled code of its own is needed, see :mod:`.dcnv3`; published weights load as they are.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

from .internimage_blocks import InternImageLevel, stem

ARCHS = {
    'T': dict(channels=64, depths=(4, 4, 18, 4), groups=(4, 8, 16, 32), layer_scale=1.0, drop_path_rate=0.2),
    'S': dict(
        channels=80, depths=(4, 4, 21, 4), groups=(5, 10, 20, 40), layer_scale=1.0, post_norm=True, drop_path_rate=0.3
    ),
    'B': dict(
        channels=112, depths=(4, 4, 21, 4), groups=(7, 14, 28, 56), layer_scale=1.0, post_norm=True, drop_path_rate=0.3
    ),
    'L': dict(
        channels=160,
        depths=(5, 5, 22, 5),
        groups=(10, 20, 40, 80),
        layer_scale=1.0,
        offset_scale=2.0,
        post_norm=True,
        drop_path_rate=0.4,
    ),
    'XL': dict(
        channels=192,
        depths=(5, 5, 24, 5),
        groups=(12, 24, 48, 96),
        layer_scale=1.0,
        offset_scale=2.0,
        post_norm=True,
        drop_path_rate=0.4,
    ),
    'H': dict(
        channels=320,
        depths=(6, 6, 32, 6),
        groups=(10, 20, 40, 80),
        dw_kernel_size=5,
        res_post_norm=True,
        level2_post_norm=True,
        level2_post_norm_block_ids=(5, 11, 17, 23, 29),
        center_feature_scale=True,
        drop_path_rate=0.5,
    ),
}


@dataclass(frozen=True, kw_only=True)
class InternImageSettings:
    """What makes one InternImage differ from another, under the names and with the defaults of the authors' configs.

    Args:
        channels: C of the first level; doubles from level to level.
        depths: number of blocks per level.
        groups: groups of DCNv3 per level; each divides the level's channels.
        mlp_ratio: hidden width of the feed-forward networks / channels.
        drop_rate: dropout behind the stem and in the feed-forward networks, in [0, 1).
        drop_path_rate: how often an image skips a part of a block while training, in [0, 1): of the last block with
            'linear', which begins at 0, or of all with 'uniform'.
        drop_path_type: 'linear' or 'uniform'.
        act_layer: activation, as mmcv names it.
        norm_layer: 'LN' or 'BN', in stem, downsampling and DCNv3; the norms of the blocks are layer norms.
        layer_scale: initial value of a learned factor per channel on what a block adds; None: no factor.
        offset_scale: factor on DCNv3's kernel and offsets.
        post_norm: whether the norms of a block come behind its parts and not before them.
        dw_kernel_size: kernel of the depthwise convolutions that offsets are read off; None: DCNv3's, 3.
        level2_post_norm: whether further norms follow some blocks of the level with index 2.
        level2_post_norm_block_ids: indices of these blocks.
        res_post_norm: whether a block has norms before and behind its parts.
        center_feature_scale: whether each group of DCNv3 mixes in what stands at the position itself.

    Raises:
        ValueError: when settings contradict each other.
    """

    channels: int
    depths: Sequence[int]
    groups: Sequence[int]
    mlp_ratio: float = 4.0
    drop_rate: float = 0.0
    drop_path_rate: float = 0.2
    drop_path_type: str = 'linear'
    act_layer: str = 'GELU'
    norm_layer: str = 'LN'
    layer_scale: float | None = None
    offset_scale: float = 1.0
    post_norm: bool = False
    dw_kernel_size: int | None = None
    level2_post_norm: bool = False
    level2_post_norm_block_ids: Sequence[int] | None = None
    res_post_norm: bool = False
    center_feature_scale: bool = False

    def __post_init__(self) -> None:
        if len(self.depths) != len(self.groups):
            raise ValueError(
                'depths and groups need one number per level each, got '
                f'depths={list(self.depths)} and groups={list(self.groups)}'
            )
        for level, groups in enumerate(self.groups):
            if groups < 1 or self.level_channels(level) % groups:
                raise ValueError(
                    f'level {level} has {self.level_channels(level)} channels, which groups[{level}]='
                    f'{groups} does not divide: change channels={self.channels} or the groups'
                )
        if self.drop_path_type not in ('linear', 'uniform'):
            raise ValueError(f"drop_path_type must be 'linear' or 'uniform', got {self.drop_path_type!r}")
        if self.res_post_norm and (self.post_norm or self.layer_scale is not None):
            raise ValueError(
                'res_post_norm goes neither with post_norm nor with layer_scale, got '
                f'post_norm={self.post_norm} and layer_scale={self.layer_scale}'
            )
        if self.level2_post_norm:
            ids, blocks = self.level2_post_norm_block_ids or (), self.depths[2] if len(self.depths) > 2 else 0
            if not ids or len(set(ids)) < len(ids) or not all(0 <= i < blocks for i in ids):
                raise ValueError(
                    'level2_post_norm needs level2_post_norm_block_ids, different ones from 0 to '
                    f'{blocks - 1}, as level 2 has {blocks} blocks; got {self.level2_post_norm_block_ids}'
                )

    def level_channels(self, level: int) -> int:
        """Width of a level's maps."""
        return self.channels * 2**level

    def build_level(self, level: int, with_cp: bool) -> InternImageLevel:
        """The blocks of a level, with new weights; ``with_cp`` as in :class:`InternImage`."""
        first, end = sum(self.depths[:level]), sum(self.depths[: level + 1])
        rates = np.linspace(0, self.drop_path_rate, sum(self.depths)).tolist()
        if self.drop_path_type == 'uniform':
            rates = [self.drop_path_rate] * len(rates)
        has_post_norms = self.level2_post_norm and level == 2
        return InternImageLevel(
            self.level_channels(level),
            self.groups[level],
            drop_path=rates[first:end],
            post_norm_block_ids=self.level2_post_norm_block_ids if has_post_norms else (),
            downsample=level < len(self.depths) - 1,
            norm_layer=self.norm_layer,
            post_norm=self.post_norm,
            center_feature_scale=self.center_feature_scale,
            mlp_ratio=self.mlp_ratio,
            drop_rate=self.drop_rate,
            act_layer=self.act_layer,
            res_post_norm=self.res_post_norm,
            layer_scale=self.layer_scale,
            offset_scale=self.offset_scale,
            dw_kernel_size=self.dw_kernel_size,
            with_cp=with_cp,
        )


@MODELS.register_module()
class InternImage(BaseModule):
    """A convolutional backbone whose kernels move with what they see.

    Published weights load by ``init_cfg=dict(type='Pretrained', checkpoint=...)``: of classifiers as they are, of
    detectors with ``prefix='backbone.'``.

    Args:
        arch: size, a key of ``ARCHS``; None: the settings name it.
        out_indices: levels whose feature maps are returned. Level i has stride 2^(i + 2).
        frozen_stages: -1: all is trained; n >= 0: the stem and the first n levels, downsampling behind them included,
            are not trained and stay in evaluation mode, as in mmdet's ResNet.
        with_cp: whether to save memory in training by computing intermediate results again (gradient checkpointing).
        init_cfg: as in mmengine.
        settings: of :class:`InternImageSettings`; what is named here goes before ``arch``.

    Raises:
        ValueError: when ``arch`` or an index is unknown, or settings contradict each other.
    """

    def __init__(
        self,
        arch: str | None = None,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        with_cp: bool = False,
        init_cfg: dict | list[dict] | None = None,
        **settings,
    ) -> None:
        super().__init__(init_cfg)
        if arch is not None and arch not in ARCHS:
            raise ValueError(f'arch must be one of {list(ARCHS)}, or None, got {arch!r}')
        settings = (ARCHS[arch] if arch else {}) | settings
        if missing := [name for name in ('channels', 'depths', 'groups') if name not in settings]:
            raise ValueError(f'InternImage needs {" and ".join(missing)}, or arch, one of {list(ARCHS)}')
        self.settings = InternImageSettings(**settings)
        num_levels = len(self.settings.depths)
        if not out_indices or not all(0 <= i < num_levels for i in out_indices):
            raise ValueError(f'out_indices must be levels from 0 to {num_levels - 1}, got {out_indices}')
        if not -1 <= frozen_stages <= num_levels:
            raise ValueError(f'frozen_stages must be -1 (none) to {num_levels} (all), got {frozen_stages}')
        self.out_indices, self.frozen_stages = out_indices, frozen_stages
        self.patch_embed = stem(self.settings.channels, self.settings.act_layer, self.settings.norm_layer)
        self.pos_drop = nn.Dropout(self.settings.drop_rate)
        self.levels = nn.ModuleList(self.settings.build_level(level, with_cp) for level in range(num_levels))
        self._freeze()

    def _frozen(self) -> Iterator[nn.Module]:
        if self.frozen_stages >= 0:
            yield from (self.patch_embed, self.pos_drop, *self.levels[: self.frozen_stages])

    def _freeze(self) -> None:
        for module in self._frozen():
            module.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> 'InternImage':
        super().train(mode)
        self._freeze()
        return self

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        """Finds the weights where the authors' classifiers keep them, under 'model'.

        A non-strict load, as mmengine's, passes over weights that do not fit with a warning; here this is an error,
        where the backbone is loaded by itself.
        """
        if isinstance(weights := state_dict.get(f'{prefix}model'), Mapping):
            del state_dict[f'{prefix}model']
            state_dict.update({prefix + name: weight for name, weight in weights.items()})
        if not prefix and not any(name.startswith('patch_embed.') for name in state_dict):
            parts = sorted({name.split('.')[0] for name in state_dict})
            raise ValueError(
                f'the checkpoint holds no InternImage: it has {parts}, but no patch_embed. The backbone '
                "of a detector needs init_cfg=dict(type='Pretrained', checkpoint=..., prefix='backbone.')"
            )
        if not prefix:
            self._check_size(state_dict)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _check_size(self, weights: Mapping[str, Tensor]) -> None:
        shapes = {name: tuple(parameter.shape) for name, parameter in self.named_parameters()}
        there = {name: tuple(weight.shape) for name, weight in weights.items() if name in shapes}
        wrong = [name for name, shape in shapes.items() if there.get(name) != shape]
        if wrong:
            raise ValueError(
                f'the checkpoint is an InternImage of another size: {len(wrong)} of {len(shapes)} weights are missing '
                f'or have another shape, first {wrong[0]}: {there.get(wrong[0], "missing")} there and '
                f'{shapes[wrong[0]]} here. Set arch, one of {list(ARCHS)}, or the settings, as its own are'
            )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> one map (B, C 2^i, H / 2^(i + 2), W / 2^(i + 2)) per level i of ``out_indices``, sizes
        rounded up."""
        x, maps = self.pos_drop(self.patch_embed(x)), []
        for i, level in enumerate(self.levels):
            x = level(x)
            if i in self.out_indices:
                # (B, H, W, C) -> (B, C, H, W)
                maps.append(x.permute(0, 3, 1, 2).contiguous())
            if level.downsample is not None:
                x = level.downsample(x)
        return tuple(maps)
