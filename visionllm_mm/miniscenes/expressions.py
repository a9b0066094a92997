"""Referring expressions: phrases that are true of exactly one object of the scene."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from .annotations import Instance
from .relations import (
    DIRECTIONS,
    POSITION_SUPERLATIVES,
    SIZE_SUPERLATIVES,
    closest,
    in_direction,
    kinds_in,
    named_objects,
    superlative,
)

# Type of expression -> name of a RefCOCO set; mmdet's RefExpMetric knows no other names.
# RefCOCO has positions, RefCOCO+ forbids them, RefCOCOg has the long phrases.
DATASET_NAMES: dict[str, str] = {
    'attribute': 'refcoco+',
    'comparison': 'refcoco+',
    'position': 'refcoco',
    'relation': 'refcocog',
}


class Expression(NamedTuple):
    """A referring expression.

    Attributes:
        type: A key of ``DATASET_NAMES``.
        text: The phrase, 'the red star left of the ring'.
        target: Index of the object that it refers to.
    """

    type: str
    text: str
    target: int


def sample_expressions(rng: np.random.Generator, objects: Sequence[Instance], size: int) -> list[Expression]:
    """At most one expression of each type, each about an object sampled uniformly."""
    chosen = []
    for find in (_attributes, _comparisons, _positions, _relations):
        candidates = list(find(objects, size))
        if candidates:
            targets = sorted({e.target for e in candidates})
            target = targets[rng.integers(len(targets))]
            of_target = [e for e in candidates if e.target == target]
            chosen.append(of_target[rng.integers(len(of_target))])
    return chosen


def _attributes(objects: Sequence[Instance], size: int) -> Iterator[Expression]:
    del size  # all finders take the same arguments
    for kind, target in named_objects(objects):
        yield Expression('attribute', f'the {kind.singular}', target)


def _comparisons(objects: Sequence[Instance], size: int) -> Iterator[Expression]:
    yield from _superlatives('comparison', SIZE_SUPERLATIVES, objects, size)


def _positions(objects: Sequence[Instance], size: int) -> Iterator[Expression]:
    yield from _superlatives('position', POSITION_SUPERLATIVES, objects, size)


def _superlatives(
    expression_type: str, words: Sequence[str], objects: Sequence[Instance], size: int
) -> Iterator[Expression]:
    for kind in kinds_in(objects):
        for word in words:
            target = superlative(objects, word, kind, size)
            if target is not None:
                yield Expression(expression_type, f'the {word} {kind.singular}', target)


def _relations(objects: Sequence[Instance], size: int) -> Iterator[Expression]:
    """Phrases whose relation is needed: without it, at least two objects would fit."""
    for anchor_kind, anchor in named_objects(objects):
        others = [obj for i, obj in enumerate(objects) if i != anchor]
        for kind in kinds_in(others):
            if sum(kind.matches(obj) for obj in others) < 2:
                continue
            for relation in DIRECTIONS:
                found = in_direction(objects, kind, relation, anchor, size)
                if found is not None and len(found) == 1:
                    text = f'the {kind.singular} {relation} the {anchor_kind.singular}'
                    yield Expression('relation', text, found[0])
            target = closest(objects, kind, anchor)
            if target is not None:
                text = f'the {kind.singular} closest to the {anchor_kind.singular}'
                yield Expression('relation', text, target)
