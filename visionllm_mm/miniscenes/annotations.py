"""Annotations of objects: visible mask, tight box, keypoints; and their COCO dicts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from pycocotools import mask as rle_ops

from .scenes import SceneObject
from .shapes import SUPERSAMPLE, average_down
from .vocabulary import COLORS, PAIRS, SHAPES

KEYPOINTS: tuple[str, ...] = ('center', 'top', 'right', 'bottom', 'left')
# COCO counts keypoints from 1 here: every extreme point is joined to the center.
SKELETON: tuple[tuple[int, int], ...] = ((1, 2), (1, 3), (1, 4), (1, 5))
# Largest distance of a polygon from the mask's contour, in fine pixels (0.3 px). A smaller one would keep the
# steps of the fine pixels: twice the vertices at 0.25 px, for 0.001 of mask IoU.
_POLYGON_TOLERANCE = 0.3 * SUPERSAMPLE
_MIN_FRAGMENT = SUPERSAMPLE**2  # fine px; smaller islands and holes (under 1 px^2) are dropped


@dataclass(frozen=True)
class Instance:
    """An annotated object; all attributes describe its visible part only.

    Attributes:
        color, shape: Names from the vocabulary.
        bbox_xywh: Tight box of the mask, px; the mask's pixel columns are x..x+w-1.
        area: Number of mask pixels.
        segmentation: COCO polygons, or a compressed RLE where the mask has a hole.
        keypoints: 5 x (x, y, v) flat, px; see ``KEYPOINTS`` and ``mask_keypoints``.
    """

    color: str
    shape: str
    bbox_xywh: tuple[float, float, float, float]
    area: int
    segmentation: list | dict
    keypoints: list[float]

    @cached_property
    def center_xy(self) -> tuple[float, float]:
        """Center of the box, px."""
        x, y, w, h = self.bbox_xywh
        return x + w / 2, y + h / 2

    @cached_property
    def box_area(self) -> float:
        """Area of the box, px^2."""
        return self.bbox_xywh[2] * self.bbox_xywh[3]


def annotate_object(obj: SceneObject, size: int) -> Instance:
    """Annotate the visible part of an object in an image of ``size`` x ``size`` px."""
    segmentation, rle = _segment(obj.visible, size)
    return Instance(
        color=obj.color,
        shape=obj.shape,
        bbox_xywh=tuple(rle_ops.toBbox(rle).tolist()),
        area=int(rle_ops.area(rle)),
        segmentation=segmentation,
        keypoints=mask_keypoints(rle_ops.decode(rle)),
    )


def _segment(visible: np.ndarray, size: int) -> tuple[list | dict, dict]:
    """COCO segmentation of a fine mask, and the RLE that pycocotools makes of it.

    The RLE defines mask, area and box, so a decoded segmentation agrees with them to the pixel.
    """
    outer, holes = _trace_pixel_edges(visible)
    if any(cv2.contourArea(hole) >= _MIN_FRAGMENT for hole in holes):
        mask = (average_down(visible) >= 128).astype(np.uint8)
        rle = rle_ops.encode(np.asfortranarray(mask))
        return {'size': rle['size'], 'counts': rle['counts'].decode()}, rle
    polygons = []
    for contour in outer:
        if cv2.contourArea(contour) >= _MIN_FRAGMENT:
            vertices = cv2.approxPolyDP(contour, _POLYGON_TOLERANCE, closed=True)
            if len(vertices) >= 3:
                polygons.append((vertices.reshape(-1) / SUPERSAMPLE).tolist())
    return polygons, rle_ops.merge(rle_ops.frPyObjects(polygons, size, size))


def _trace_pixel_edges(mask: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Outer borders and borders of holes of a mask, along the edges of its pixels.

    OpenCV's contours run through the centers of the border pixels and so lose half a pixel on
    every side. In an image of three times the size, a third of a pixel identifies each edge.

    Returns:
        Contours of (points, 1, 2) int32, x and y of pixel corners: pixel column j is j..j+1.
    """
    x, y, w, h = cv2.boundingRect(mask)
    tripled = cv2.resize(mask[y : y + h, x : x + w], (3 * w, 3 * h), interpolation=cv2.INTER_NEAREST)
    contours, hierarchy = cv2.findContours(tripled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    corners = [(contour + 1) // 3 + np.int32([x, y]) for contour in contours]
    is_hole = hierarchy[0, :, 3] >= 0
    return (
        [c for c, hole in zip(corners, is_hole, strict=True) if not hole],
        [c for c, hole in zip(corners, is_hole, strict=True) if hole],
    )


def mask_keypoints(mask: np.ndarray) -> list[float]:
    """Centroid and the topmost, rightmost, bottommost and leftmost point of a mask.

    Args:
        mask: (H, W) uint8, non-empty; 1 means object.

    Returns:
        (x, y, v) of each of ``KEYPOINTS``, flat, px. An extreme point is the middle pixel's center
        of the outermost row or column, and visible (v = 2). The center has v = 1 (labeled, not
        visible) where the mask does not cover it, as in a ring.
    """
    moments = cv2.moments(mask, binaryImage=True)
    x, y = (round(moments[key] / moments['m00'] + 0.5, 2) for key in ('m10', 'm01'))
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))

    def middle_of(line: np.ndarray) -> float:
        covered = np.flatnonzero(line)
        return float(covered[len(covered) // 2]) + 0.5

    top, bottom = rows[[0, -1]].tolist()
    left, right = columns[[0, -1]].tolist()
    points = [
        (x, y, 2 if mask[int(y), int(x)] else 1),
        (middle_of(mask[top]), top + 0.5, 2),
        (right + 0.5, middle_of(mask[:, right]), 2),
        (middle_of(mask[bottom]), bottom + 0.5, 2),
        (left + 0.5, middle_of(mask[:, left]), 2),
    ]
    return [value for point in points for value in point]


def coco_image(image_id: int, size: int) -> dict:
    """COCO entry of an image; the id is the number in the file's name."""
    return {'id': image_id, 'file_name': image_file_name(image_id), 'width': size, 'height': size}


def image_file_name(image_id: int) -> str:
    """File name of an image in its split's folder."""
    return f'{image_id:06d}.png'


def coco_annotation(annotation_id: int, image_id: int, instance: Instance) -> dict:
    """COCO annotation of an instance, still without its ``category_id``."""
    return {
        'id': annotation_id,
        'image_id': image_id,
        'bbox': list(instance.bbox_xywh),
        'area': instance.area,
        'iscrowd': 0,
        'segmentation': instance.segmentation,
        'keypoints': instance.keypoints,
        'num_keypoints': len(KEYPOINTS),
        'attributes': {'color': instance.color, 'shape': instance.shape},
    }


def _categories(names: list[str], supercategory: str) -> list[dict]:
    return [
        {
            'id': i,
            'name': name,
            'supercategory': supercategory,
            'keypoints': list(KEYPOINTS),
            'skeleton': [list(edge) for edge in SKELETON],
        }
        for i, name in enumerate(names, start=1)
    ]


# Name of the class set -> its COCO categories; category ids count from 1.
CATEGORIES: dict[str, list[dict]] = {
    'shapes': _categories(list(SHAPES), 'shape'),
    'colors': _categories(list(COLORS), 'color'),
    'pairs': _categories([f'{color} {shape}' for color, shape in PAIRS], 'colored shape'),
}
_CATEGORY_IDS = {
    key: {category['name']: category['id'] for category in categories} for key, categories in CATEGORIES.items()
}


def with_category(annotation: dict, class_set: str) -> dict:
    """The annotation with its ``category_id`` in a class set of ``CATEGORIES``."""
    color, shape = annotation['attributes']['color'], annotation['attributes']['shape']
    name = {'shapes': shape, 'colors': color, 'pairs': f'{color} {shape}'}[class_set]
    return {**annotation, 'category_id': _CATEGORY_IDS[class_set][name]}
