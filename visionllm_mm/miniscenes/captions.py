"""Captions that mention every object, with counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from .annotations import Instance
from .relations import POSITION_MARGIN
from .vocabulary import NUMBER_WORDS, Kind

MIN_CAPTIONS, MAX_CAPTIONS = 2, 5
_EMPTY_CAPTIONS = (
    'an empty scene',
    'a picture of an empty background',
    'there are no objects',
    'no objects at all',
    'a background without objects',
)


def sample_captions(rng: np.random.Generator, objects: Sequence[Instance], size: int) -> list[str]:
    """Between ``MIN_CAPTIONS`` and ``MAX_CAPTIONS`` different captions of a scene."""
    if not objects:
        texts = list(_EMPTY_CAPTIONS)
    else:
        count = _count_of(len(objects))
        texts = [
            _describe(rng, objects),
            f'a picture of {_describe(rng, objects)}',
            _there_is(_describe(rng, objects)),
            f'{count}: {_describe(rng, objects)}',
        ]
        if len(objects) > 1 and _are_side_by_side(objects, size):
            names = [_kind_of(obj).with_article for obj in sorted(objects, key=_x)]
            texts.append(f'from left to right: {_join(names)}')
    wanted = min(int(rng.integers(MIN_CAPTIONS, MAX_CAPTIONS + 1)), len(texts))
    return [texts[i] for i in rng.permutation(len(texts))[:wanted]]


def _describe(rng: np.random.Generator, objects: Sequence[Instance]) -> str:
    """All objects, equal ones counted together: 'two red stars, a ring and a green cross'.

    In the order from left to right, or from large to small, of the first object of each kind.
    """
    key = _x if rng.random() < 0.5 else _minus_area
    counts = Counter(_kind_of(obj) for obj in sorted(objects, key=key))
    return _join([kind.with_article if n == 1 else f'{NUMBER_WORDS[n]} {kind.plural}' for kind, n in counts.items()])


def _there_is(description: str) -> str:
    is_single = description.startswith(('a ', 'an '))
    return f'there {"is" if is_single else "are"} {description}'


def _count_of(n: int) -> str:
    return f'{NUMBER_WORDS[n]} object{"s" if n > 1 else ""}'


def _are_side_by_side(objects: Sequence[Instance], size: int) -> bool:
    """Whether the order from left to right is unambiguous."""
    return bool(np.diff(sorted(map(_x, objects))).min() >= POSITION_MARGIN * size)


def _join(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f'{", ".join(names[:-1])} and {names[-1]}'


def _kind_of(obj: Instance) -> Kind:
    return Kind(obj.color, obj.shape)


def _x(obj: Instance) -> float:
    return obj.center_xy[0]


def _minus_area(obj: Instance) -> int:
    return -obj.area
