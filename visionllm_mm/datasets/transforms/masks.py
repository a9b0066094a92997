"""Masks of data in which some objects have none."""

import numpy as np
from mmdet.datasets.transforms import LoadAnnotations
from mmdet.registry import TRANSFORMS

UNKNOWN = 2
"""Value inside of the boxes of objects whose masks are not known. As a value of pixels it moves, as masks do, with all
transforms: RandomCrop and Mosaic would leave a key of their own as it is."""


@TRANSFORMS.register_module()
class LoadKnownMasks(LoadAnnotations):
    """mmdet's LoadAnnotations, in which an object may lack its mask (:class:`OwnCocoDataset`).

    ``gt_masks`` of such an object is its box with the value 2; see :func:`are_known`. Arguments: mmdet's.
    """

    def _poly2mask(self, mask_ann: list | dict, img_h: int, img_w: int) -> np.ndarray:
        mask = super()._poly2mask(mask_ann, img_h, img_w)
        return mask * UNKNOWN if isinstance(mask_ann, dict) and mask_ann.get('unknown') else mask


def are_known(masks: np.ndarray) -> np.ndarray:
    """Which masks are known, (K,) bool; an empty one is.

    Args:
        masks: (K, H, W) uint8.
    """
    return (masks < UNKNOWN).all(axis=(1, 2))
