"""Images of one size together: padding would reach an image's features through convolutions and GroupNorm."""

from collections.abc import Callable, Iterator

import torch
from mmdet.structures import SampleList
from torch import Tensor

from ..structures import ImageTokens

Levels = tuple[Tensor, ...]


class FeaturesBySize:
    """Feature maps of a batch, without what the batch has padded (docs/decisions.md#images-of-unlike-sizes).

    Args:
        groups: (rows, levels) per size: G positions in the batch, and L maps (G, D, H_l, W_l).
    """

    def __init__(self, groups: list[tuple[list[int], Levels]]) -> None:
        self.groups = groups

    @classmethod
    def extract(
        cls, extract_feat: Callable[[Tensor], Levels], batch_inputs: Tensor, data_samples: SampleList
    ) -> 'FeaturesBySize':
        """Runs backbone and neck once per size.

        Args:
            extract_feat: images (G, 3, h, w) to L maps (G, D, H_l, W_l).
            batch_inputs: (B, 3, H, W).
            data_samples: B samples. ``pad_shape`` is the size that the image has in a batch of its own; it becomes the
                sample's ``batch_input_shape``.
        """
        whole = tuple(batch_inputs.shape[-2:])
        rows_of = {}
        for row, sample in enumerate(data_samples):
            size = tuple(sample.get('pad_shape', whole)[:2])
            rows_of.setdefault(size, []).append(row)
            sample.set_metainfo(dict(batch_input_shape=size))
        groups = []
        for (height, width), rows in rows_of.items():
            images = batch_inputs if len(rows) == len(batch_inputs) else batch_inputs[rows]
            groups.append((rows, extract_feat(images[..., :height, :width])))
        return cls(groups)

    def of(self, rows: list[int]) -> 'FeaturesBySize':
        """The features of some images, which are numbered anew by their position in ``rows``."""
        groups = []
        for members, levels in self.groups:
            kept = [(rows.index(member), place) for place, member in enumerate(members) if member in rows]
            if kept:
                new_rows, places = map(list, zip(*kept, strict=True))
                same = places == list(range(len(members)))
                groups.append((new_rows, levels if same else tuple(level[places] for level in levels)))
        return FeaturesBySize(groups)

    def tokenize(self, tokenizer: Callable[..., ImageTokens], *lists: list) -> ImageTokens:
        """Image tokens of the whole batch, in its order, without proposals where it has several sizes.

        Args:
            tokenizer: makes the tokens of images of one size, from their levels and their part of each list.
            lists: B values each.
        """
        parts = [tokenizer(levels, *([values[row] for row in rows] for values in lists)) for rows, levels in self]
        if len(parts) == 1:
            return parts[0]
        order = torch.tensor([row for rows, _ in self for row in rows]).argsort().to(parts[0].objectness.device)
        # (layers, B, M, ...) each
        fields = {
            name: torch.cat([getattr(part, name) for part in parts], dim=1)[:, order]
            for name in ('embeddings', 'centers_norm', 'objectness', 'sizes_norm')
            if getattr(parts[0], name) is not None
        }
        return ImageTokens(**fields)

    def __iter__(self) -> Iterator[tuple[list[int], Levels]]:
        return iter(self.groups)
