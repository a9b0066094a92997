"""Polygons of all objects in an image, independent of its instruction."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS

from ...instructions import encode_polygon
from .masks import are_known


@TRANSFORMS.register_module()
class AddPolygons(BaseTransform):
    """Adds the polygon of every object, for training with ``loss_outline``.

    Required keys: ``gt_masks`` (LoadAnnotations with ``with_mask=True``). It follows the instruction transform,
    which may remove objects. Added keys: ``gt_polygons`` (K, N, 2), float32 px, see :func:`encode_polygon`; NaN where a
    mask is empty or not known.

    Args:
        num_points: lowest and highest number of points N; it is sampled at random for every sample.

    Raises:
        ValueError: when there are no masks, or ``num_points`` is no range of at least 3.
    """

    def __init__(self, num_points: tuple[int, int]) -> None:
        low, high = num_points
        if not 3 <= low <= high:
            raise ValueError(f'num_points must be (fewest, most) with 3 <= fewest <= most, got {num_points}')
        self.num_points = low, high

    def transform(self, results: dict) -> dict:
        if 'gt_masks' not in results:
            raise ValueError('AddPolygons needs masks: set with_mask=True on LoadAnnotations')
        low, high = self.num_points
        num_points = np.random.randint(low, high + 1)
        masks = results['gt_masks'].to_ndarray()
        polygons = np.full((len(masks), num_points, 2), np.nan, dtype=np.float32)
        for polygon, mask, known in zip(polygons, masks, are_known(masks), strict=True):
            if known and mask.any():
                polygon[:] = encode_polygon(mask, num_points)
        results['gt_polygons'] = polygons
        return results
