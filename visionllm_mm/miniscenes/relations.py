"""Whether a phrase is true of annotated objects: yes, no, or a close call, which is never asked.

Everything here is decided from boxes and mask areas alone, so that every sentence of the data set
can be checked against the annotation files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from .annotations import Instance
from .vocabulary import ANY_OBJECT, Kind

# Two box centers closer than this along an axis, as a part of the image side, are a close call.
POSITION_MARGIN = 0.05
# A larger object has at least this many times the box area and the mask area of the smaller.
SIZE_RATIO = 1.25
# The second closest object is at least this many times as far away as the closest.
DISTANCE_RATIO = 1.25

# Relation -> (axis of the box center, sign of the difference). Only the named axis counts.
DIRECTIONS: dict[str, tuple[int, int]] = {
    'left of': (0, -1),
    'right of': (0, 1),
    'above': (1, -1),
    'below': (1, 1),
}
_EXTREMES: dict[str, str] = {
    'leftmost': 'left of',
    'rightmost': 'right of',
    'topmost': 'above',
    'bottommost': 'below',
}
POSITION_SUPERLATIVES: tuple[str, ...] = tuple(_EXTREMES)
SIZE_SUPERLATIVES: tuple[str, ...] = ('largest', 'smallest')


def is_in_direction(relation: str, obj: Instance, anchor: Instance, size: int) -> bool | None:
    """Whether ``obj`` is, say, 'left of' ``anchor``; None for a close call."""
    axis, sign = DIRECTIONS[relation]
    gap = sign * (obj.center_xy[axis] - anchor.center_xy[axis])
    return None if abs(gap) < POSITION_MARGIN * size else gap > 0


def is_larger(obj: Instance, other: Instance) -> bool | None:
    """Whether ``obj`` is larger than ``other`` by box and by mask; None for a close call."""
    boxes = obj.box_area / other.box_area
    areas = obj.area / other.area
    if min(boxes, areas) >= SIZE_RATIO:
        return True
    if max(boxes, areas) <= 1 / SIZE_RATIO:
        return False
    return None


def select(objects: Sequence[Instance], kind: Kind) -> list[int]:
    """Indices of the objects of a kind."""
    return [i for i, obj in enumerate(objects) if kind.matches(obj)]


def kinds_in(objects: Sequence[Instance]) -> list[Kind]:
    """Every kind that at least one of the objects is of, each once, in a fixed order."""
    kinds = dict.fromkeys([ANY_OBJECT])
    for obj in objects:
        kinds.update(dict.fromkeys([Kind(obj.color, None), Kind(None, obj.shape), Kind(obj.color, obj.shape)]))
    return list(kinds)


def named_objects(objects: Sequence[Instance]) -> Iterator[tuple[Kind, int]]:
    """Kinds that only one object is of, with its index; 'the object' is left out."""
    for kind in kinds_in(objects):
        members = select(objects, kind)
        if kind != ANY_OBJECT and len(members) == 1:
            yield kind, members[0]


def superlative(objects: Sequence[Instance], word: str, kind: Kind, size: int) -> int | None:
    """Index of, say, the 'largest' of at least two objects of a kind; None for a close call."""
    members = select(objects, kind)
    if len(members) < 2:
        return None

    def beats(obj: Instance, other: Instance) -> bool | None:
        if word == 'largest':
            return is_larger(obj, other)
        if word == 'smallest':
            return is_larger(other, obj)
        return is_in_direction(_EXTREMES[word], obj, other, size)

    for i in members:
        if all(beats(objects[i], objects[j]) for j in members if j != i):
            return i
    return None


def in_direction(objects: Sequence[Instance], kind: Kind, relation: str, anchor: int, size: int) -> list[int] | None:
    """Indices of the objects of a kind that are, say, 'left of' an anchor; None for a close call.

    The anchor itself is not counted among the objects of the kind.
    """
    members = [i for i in select(objects, kind) if i != anchor]
    verdicts = [is_in_direction(relation, objects[i], objects[anchor], size) for i in members]
    if None in verdicts:
        return None
    return [i for i, verdict in zip(members, verdicts, strict=True) if verdict]


def closest(objects: Sequence[Instance], kind: Kind, anchor: int) -> int | None:
    """Index of the object, of at least two of a kind, closest to an anchor; None if too close."""
    members = [i for i in select(objects, kind) if i != anchor]
    if len(members) < 2:
        return None
    anchor_xy = objects[anchor].center_xy
    distances = {i: np.hypot(*np.subtract(objects[i].center_xy, anchor_xy)) for i in members}
    first, second = sorted(members, key=distances.__getitem__)[:2]
    return first if distances[second] >= DISTANCE_RATIO * distances[first] else None
