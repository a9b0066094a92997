"""Outlines (``segmentation``) as exporters write them: polygons in several forms, and run lengths (RLE)."""

from dataclasses import dataclass

import numpy as np
from pycocotools import mask as coco_mask

from .values import as_number

_FAR = 2
"""A point further outside than so many times the image is no point; rasterizing it would take too much memory."""


@dataclass
class Outline:
    """An outline as pycocotools takes it.

    Attributes:
        segmentation: polygons ``[[x, y, ...], ...]`` or RLE ``{"size", "counts"}``; None: there is none to use.
        problem: why there is none, or why a part is left out; empty: it is as it should be.
    """

    segmentation: list | dict | None = None
    problem: str = ''

    def rle(self, height: int, width: int) -> dict:
        """The outline as compressed run lengths."""
        if isinstance(self.segmentation, list):
            return coco_mask.merge(coco_mask.frPyObjects(self.segmentation, height, width))
        if isinstance(self.segmentation['counts'], list):
            return coco_mask.frPyObjects(self.segmentation, height, width)
        return self.segmentation

    def box(self, height: int, width: int) -> tuple[float, ...]:
        """x, y, width and height in px."""
        if isinstance(self.segmentation, list):
            points = np.concatenate([np.reshape(part, (-1, 2)) for part in self.segmentation])
            low, high = points.min(axis=0), points.max(axis=0)
            return (*low.tolist(), *(high - low).tolist())
        return tuple(coco_mask.toBbox(self.rle(height, width)).tolist())

    def area(self, height: int, width: int) -> float:
        """Pixels inside."""
        return float(coco_mask.area(self.rle(height, width)))


def unknown_outline(box: tuple[float, ...], height: int, width: int) -> dict:
    """Stands for an outline that is not known: the rectangle of the box, marked as ``unknown``.

    Evaluation counts it as it is; :class:`LoadKnownMasks` reads the mark.

    Args:
        box: x, y, width and height in px, inside of the image.
        height: of the image.
        width: of the image.
    """
    x, y, w, h = box
    corners = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    rle = coco_mask.merge(coco_mask.frPyObjects(corners, height, width))
    return dict(size=list(rle['size']), counts=rle['counts'].decode(), unknown=True)


def read_outline(value: object, height: int, width: int) -> Outline:
    """Reads the value of ``segmentation``.

    Args:
        value: polygons, flat or as points, one or several; or RLE, compressed or not.
        height: of the image.
        width: of the image.
    """
    if value is None or value in ([], {}, '', [[]]):
        return Outline(problem='without an outline')
    if isinstance(value, dict):
        return _read_rle(value, height, width)
    if not isinstance(value, list):
        return Outline(problem='whose outline is neither polygons nor RLE')
    parts, problems = [], []
    for part in _split(value):
        points, problem = _read_polygon(part, height, width)
        if problem:
            problems.append(problem)
        else:
            parts.append(points)
    problem = f'whose outline has {problems[0]}' if problems else ''
    return Outline(parts or None, problem)


def _split(value: list) -> list:
    """The polygons of an outline: several, or one alone as a flat list or as points."""
    is_flat = all(not isinstance(part, (list, dict)) for part in value)
    is_points = len(value) > 2 and all(
        isinstance(part, list) and len(part) == 2 and not isinstance(part[0], list) for part in value
    )
    return [value] if is_flat or is_points else value


def _read_polygon(part: object, height: int, width: int) -> tuple[list[float], str]:
    if not isinstance(part, list):
        return [], 'a part that is no list of numbers'
    if part and all(isinstance(point, list) and len(point) == 2 for point in part):
        part = [number for point in part for number in point]
    numbers = [as_number(number) for number in part]
    if None in numbers:
        return [], 'something else than finite numbers'
    if len(numbers) % 2:
        return [], 'an odd number of coordinates'
    if len(numbers) < 6:
        return [], 'a part of less than 3 points'
    x, y = numbers[::2], numbers[1::2]
    if max(x) <= 0 or max(y) <= 0 or min(x) >= width or min(y) >= height:
        return [], 'a part outside of the image'
    if max(*x, -min(x)) > _FAR * width or max(*y, -min(y)) > _FAR * height:
        return [], 'points far outside of the image'
    if not coco_mask.area(coco_mask.frPyObjects([numbers], height, width))[0]:
        return [], 'a part without area'
    return numbers, ''


def _read_rle(value: dict, height: int, width: int) -> Outline:
    size = value.get('size')
    if not isinstance(size, list) or [as_number(side) for side in size] != [height, width]:
        return Outline(problem='whose outline (RLE) has another size than the image')
    counts = value.get('counts')
    if isinstance(counts, list):
        runs = [as_number(run) for run in counts]
        if None in runs or any(run != int(run) for run in runs):
            return Outline(problem='whose outline (RLE) has bad counts')
        counts = runs = [int(run) for run in runs]
    else:
        runs = _decode_counts(counts)
    if runs is None or not len(runs) or min(runs) < 0 or sum(runs) != height * width:
        return Outline(problem='whose outline (RLE) has bad counts')
    if not sum(runs[1::2]):
        return Outline(problem='whose outline (RLE) has no pixel')
    return Outline(dict(size=[height, width], counts=counts))


def _decode_counts(text: object) -> list[int] | None:
    """Run lengths of COCO's compressed form, as ``rleFrString`` of pycocotools reads them; None: no such form.

    pycocotools itself reads beyond a text that ends too early.
    """
    if not isinstance(text, str) or not text or not text.isascii():
        return None
    codes = np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int64) - 48
    goes_on = (codes & 32) > 0
    if codes.min() < 0 or codes.max() > 63 or goes_on[-1]:
        return None
    last = np.nonzero(~goes_on)[0]
    first = np.concatenate([[0], last[:-1] + 1])
    place = np.arange(len(codes)) - np.repeat(first, last - first + 1)
    if place.max() > 6:  # more than 32 bits
        return None
    values = np.add.reduceat((codes & 31) << (5 * place), first)
    values -= np.where(codes[last] & 16, 1 << (5 * (place[last] + 1)), 0)
    # From the fourth run on, differences to the run before the last.
    values[1::2] = values[1::2].cumsum()
    values[2::2] = values[2::2].cumsum()
    return values.tolist()
