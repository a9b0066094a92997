"""Boxes [x, y, width, height] as exporters write them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .values import as_number

SMALLEST = 1.0
"""Least width and height of a box in px; mmdet leaves out smaller ones."""
_SHARE_OF_FAR = 0.2
_MOST, _NEARLY_ALL = 0.8, 0.95
_SLACK = 1.05


@dataclass
class RawBox:
    """A box as it stands in the file.

    Attributes:
        values: x, y, width and height; None: it can't be read.
        problem: why it can't be read; empty: it can, or there is none.
        is_missing: whether there is none.
        was_text: whether its numbers were written as texts.
    """

    values: tuple[float, ...] | None = None
    problem: str = ''
    is_missing: bool = False
    was_text: bool = False


def read_box(value: object) -> RawBox:
    """Reads the value of ``bbox``."""
    if value is None or value == [] or value == '':
        return RawBox(is_missing=True)
    if not isinstance(value, list) or len(value) != 4:
        return RawBox(problem='whose bbox is no list of 4 numbers')
    numbers = tuple(as_number(number) for number in value)
    if None in numbers:
        return RawBox(problem='whose bbox holds something else than finite numbers')
    return RawBox(numbers, was_text=any(isinstance(number, str) for number in value))


def limit_box(box: Sequence[float], width: int, height: int) -> tuple[tuple[float, ...] | None, str, float]:
    """The part of a box inside of its image.

    Args:
        box: x, y, width and height in px.
        width: of the image.
        height: of the image.

    Returns:
        The box, or None where it can't be used; why it can't; and by how many px it reached beyond the image.
    """
    x, y, w, h = box
    if w < 0 or h < 0:
        return None, 'with a box of negative width or height', 0.0
    if w == 0 or h == 0:
        return None, 'with a box of zero size', 0.0
    if w < SMALLEST or h < SMALLEST:
        return None, 'with a box below 1 px', 0.0
    left, top, right, bottom = max(x, 0.0), max(y, 0.0), min(x + w, width), min(y + h, height)
    if left >= right or top >= bottom:
        return None, 'with a box outside of its image', 0.0
    if right - left < SMALLEST or bottom - top < SMALLEST:
        return None, 'with a box of which less than 1 px is inside of its image', 0.0
    beyond = max(left - x, top - y, x + w - right, y + h - bottom)
    if beyond == 0:
        return tuple(box), '', 0.0
    return (left, top, right - left, bottom - top), '', beyond


def are_relative(boxes: Sequence[Sequence[float]]) -> bool:
    """Whether the values of most boxes lie within [0, 1]: shares of the image instead of px."""
    shares = [box for box in boxes if all(0 <= value <= 1 for value in box)]
    fractions = any(value != int(value) for box in shares for value in box)
    return fractions and len(shares) >= _MOST * len(boxes)


def other_form(boxes: Sequence[Sequence[float]], sizes: Sequence[tuple[int, int]]) -> str:
    """The form of boxes that are no x, y, width, height; an empty string where they may be.

    As x, y, width, height many reach far beyond their images; in the other form they lie inside.

    Args:
        boxes: four numbers each.
        sizes: width and height of the image of each box.
    """
    known = [(*box, *size) for box, size in zip(boxes, sizes, strict=True) if 0 not in box[2:]]
    a, b, c, d, width, height = np.array(known, dtype=float).reshape(-1, 6).T
    right, bottom = width + 1, height + 1
    with np.errstate(over='ignore'):
        is_far = (a + c > width * _SLACK + 1) | (b + d > height * _SLACK + 1)
        inside = {
            'x1, y1, x2, y2': (a < c) & (c <= right) & (b < d) & (d <= bottom),
            'y1, x1, y2, x2': (a < c) & (c <= bottom) & (b < d) & (d <= right),
            'center x, center y, width, height': (
                (a - c / 2 >= -1) & (a + c / 2 <= right) & (b - d / 2 >= -1) & (b + d / 2 <= bottom)
            ),
        }
    if not known or is_far.mean() < _SHARE_OF_FAR:
        return ''
    return next((form for form, fits in inside.items() if fits.mean() >= _NEARLY_ALL), '')


def are_outside(boxes: Sequence[Sequence[float]], sizes: Sequence[tuple[int, int]]) -> bool:
    """Whether many boxes lie wholly beyond their images, as those of a larger copy of the pictures do.

    Args:
        boxes: x, y, width and height each.
        sizes: width and height of the image of each box.
    """
    outside = sum(x >= width or y >= height for (x, y, *_), (width, height) in zip(boxes, sizes, strict=True))
    return outside >= max(3, _SHARE_OF_FAR * len(boxes))


def overlap(first: Sequence[float], second: Sequence[float]) -> float:
    """Intersection over union of two boxes x, y, width, height, which are made 1 px larger on all sides."""
    sides = [
        max(0.0, min(a + c, b + d) - max(a, b) + 2)
        for a, b, c, d in zip(first[:2], second[:2], first[2:], second[2:], strict=True)
    ]
    shared = sides[0] * sides[1]
    return shared / ((first[2] + 2) * (first[3] + 2) + (second[2] + 2) * (second[3] + 2) - shared)
