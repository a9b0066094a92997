"""Boxes [x, y, width, height] as exporters write them."""

from collections.abc import Sequence
from dataclasses import dataclass

from .values import as_number

SMALLEST = 1.0
"""Least width and height of a box in px; mmdet leaves out smaller ones."""
_SHARE_OF_XYXY = 0.2
_SLACK = 0.05


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
    """Whether all values of all boxes lie within [0, 1]: shares of the image instead of px."""
    return (
        bool(boxes)
        and all(0 <= value <= 1 for box in boxes for value in box)
        and any(value != int(value) for box in boxes for value in box)
    )


def are_corners(boxes: Sequence[Sequence[float]], sizes: Sequence[tuple[int, int]]) -> bool:
    """Whether boxes read like x1, y1, x2, y2.

    As x, y, width, height many reach far beyond their images; as corners they all lie inside.

    Args:
        boxes: four numbers each.
        sizes: width and height of the image of each box.
    """
    beyond = fitting = 0
    for (x, y, w, h), (width, height) in zip(boxes, sizes, strict=True):
        beyond += x + w > (1 + _SLACK) * width + 1 or y + h > (1 + _SLACK) * height + 1
        fitting += x < w <= width + 1 and y < h <= height + 1
    return bool(boxes) and beyond >= _SHARE_OF_XYXY * len(boxes) and fitting >= (1 - _SLACK) * len(boxes)
