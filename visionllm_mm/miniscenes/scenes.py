"""Layout of a scene: its objects, their positions, and their visible parts."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .shapes import SUPERSAMPLE, draw_fine_mask, outline_area, place_outline
from .vocabulary import COLORS, SHAPES, SPLIT_PAIRS

MAX_OBJECTS = 6
EMPTY_SCENE_PROBABILITY = 0.03
# Diameters of the circumscribed circle as parts of the image side: 22..64 px at 128 px.
MIN_DIAMETER, MAX_DIAMETER = 22 / 128, 64 / 128
# Largest rotation of a shape from its upright pose, in radians.
MAX_ROTATION = np.pi / 6
# An object with a smaller visible share, behind others or beyond the border, is placed again or dropped.
MIN_VISIBLE = 0.75
# Probability that an object takes the color, or the shape, of an earlier one. Without it hardly any
# scene would have two circles, for "the largest circle" or for a count.
REPEAT_PROBABILITY = 0.3
_PLACEMENT_ATTEMPTS = 12


@dataclass
class SceneObject:
    """An object of a layout.

    Attributes:
        color, shape: Names from the vocabulary.
        center_xy, diameter: Circumscribed circle, px.
        full_area: Area of the whole shape, px^2, hidden parts included.
        mask: (fine, fine) uint8 of ``SUPERSAMPLE`` times the image's resolution; 255 means that
            the shape, in front of or behind others, covers the pixel.
        visible: Same, 255 only where no later object covers it.
    """

    color: str
    shape: str
    center_xy: tuple[float, float]
    diameter: float
    full_area: float
    mask: np.ndarray
    visible: np.ndarray

    def is_visible_enough(self, visible: np.ndarray) -> bool:
        area = cv2.countNonZero(visible) / SUPERSAMPLE**2
        return area >= MIN_VISIBLE * self.full_area


def sample_layout(rng: np.random.Generator, split: str, size: int) -> list[SceneObject]:
    """Sample the objects of a scene, from the hindmost to the foremost.

    Args:
        rng: Source of all randomness.
        split: 'train' leaves the held-out pairs out.
        size: Side of the image, px.

    Returns:
        0 to ``MAX_OBJECTS`` objects.
    """
    if rng.random() < EMPTY_SCENE_PROBABILITY:
        return []
    objects: list[SceneObject] = []
    for _ in range(rng.integers(1, MAX_OBJECTS + 1)):
        color, shape = _sample_pair(rng, split, objects)
        for _ in range(_PLACEMENT_ATTEMPTS):
            candidate = _sample_object(rng, color, shape, size)
            if _add_if_all_stay_visible(objects, candidate):
                break
    return objects


def _sample_pair(rng: np.random.Generator, split: str, objects: list[SceneObject]) -> tuple[str, str]:
    while True:
        color = COLORS[rng.integers(len(COLORS))]
        shape = SHAPES[rng.integers(len(SHAPES))]
        if objects and rng.random() < REPEAT_PROBABILITY:
            color = objects[rng.integers(len(objects))].color
        if objects and rng.random() < REPEAT_PROBABILITY:
            shape = objects[rng.integers(len(objects))].shape
        if (color, shape) in SPLIT_PAIRS[split]:
            return color, shape


def _sample_object(rng: np.random.Generator, color: str, shape: str, size: int) -> SceneObject:
    # Log-uniform: small objects are as frequent as large ones on every scale.
    diameter = size * float(np.exp(rng.uniform(np.log(MIN_DIAMETER), np.log(MAX_DIAMETER))))
    margin = 0.35 * diameter
    center_xy = tuple(rng.uniform(margin, size - margin, 2).tolist())
    outlines = place_outline(shape, center_xy, diameter, angle=rng.uniform(-MAX_ROTATION, MAX_ROTATION))
    mask = draw_fine_mask(outlines, size)
    return SceneObject(color, shape, center_xy, diameter, outline_area(outlines), mask, mask)


def _add_if_all_stay_visible(objects: list[SceneObject], candidate: SceneObject) -> bool:
    """Append ``candidate`` in front of ``objects`` unless it hides too much or merges with one."""
    for obj in objects:
        distance = np.hypot(*np.subtract(obj.center_xy, candidate.center_xy))
        touches = distance < (obj.diameter + candidate.diameter) / 2
        if touches and obj.color == candidate.color:
            return False  # no edge would be seen between the two
    if not candidate.is_visible_enough(candidate.visible):
        return False
    visibles = [cv2.subtract(obj.visible, candidate.mask) for obj in objects]
    if not all(obj.is_visible_enough(v) for obj, v in zip(objects, visibles, strict=True)):
        return False
    for obj, visible in zip(objects, visibles, strict=True):
        obj.visible = visible
    objects.append(candidate)
    return True
