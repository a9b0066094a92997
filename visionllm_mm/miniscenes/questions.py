"""Questions with short answers, in balanced conversations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import NamedTuple

import numpy as np

from .annotations import Instance
from .relations import (
    DIRECTIONS,
    POSITION_SUPERLATIVES,
    SIZE_SUPERLATIVES,
    in_direction,
    is_in_direction,
    is_larger,
    kinds_in,
    named_objects,
    select,
    superlative,
)
from .vocabulary import COLORS, SHAPES, Kind

MIN_TURNS, MAX_TURNS = 2, 4


class Question(NamedTuple):
    """A question of a type of ``QUESTION_TYPES``; answers are a color, shape, digit, yes or no."""

    type: str
    text: str
    answer: str


class _Scene(NamedTuple):
    objects: Sequence[Instance]
    size: int  # px
    pairs: Sequence[tuple[str, str]]  # (color, shape) that the split may name


def sample_conversation(
    rng: np.random.Generator, objects: Sequence[Instance], size: int, pairs: Sequence[tuple[str, str]]
) -> list[Question]:
    """Between ``MIN_TURNS`` and ``MAX_TURNS`` questions of different types.

    Within a type the answer is sampled uniformly from those that the scene offers, and then the
    question, so that "no" and "1" do not prevail.

    Args:
        rng: Source of all randomness.
        objects: The annotated objects of the scene.
        size: Side of the image, px.
        pairs: The (color, shape) pairs that may be named even if the scene has none.
    """
    scene = _Scene(objects, size, pairs)
    turns = int(rng.integers(MIN_TURNS, MAX_TURNS + 1))
    conversation: list[Question] = []
    for i in rng.permutation(len(QUESTION_TYPES)):
        question_type, forms = list(QUESTION_TYPES.items())[i]
        candidates: list[tuple[str, str]] = []
        for j in rng.permutation(len(forms)):
            candidates = candidates or list(forms[j](scene))
        if candidates:
            answers = sorted({answer for _, answer in candidates})
            answer = answers[rng.integers(len(answers))]
            texts = [text for text, a in candidates if a == answer]
            conversation.append(Question(question_type, texts[rng.integers(len(texts))], answer))
        if len(conversation) == turns:
            break
    return conversation


# Each form yields (question, answer) candidates.


def _what_color(scene: _Scene) -> Iterator[tuple[str, str]]:
    for phrase, target in _described_objects(scene, without='color'):
        yield f'What color is the {phrase}?', scene.objects[target].color


def _what_shape(scene: _Scene) -> Iterator[tuple[str, str]]:
    for phrase, target in _described_objects(scene, without='shape'):
        yield f'What shape is the {phrase}?', scene.objects[target].shape


def _described_objects(scene: _Scene, without: str) -> Iterator[tuple[str, int]]:
    """Phrases for one object each that do not state its ``without``, with its index."""
    for kind, target in named_objects(scene.objects):
        if getattr(kind, without) is None:
            yield kind.singular, target
    for kind in kinds_in(scene.objects):
        if getattr(kind, without) is None:
            for word in (*SIZE_SUPERLATIVES, *POSITION_SUPERLATIVES):
                target = superlative(scene.objects, word, kind, scene.size)
                if target is not None:
                    yield f'{word} {kind.singular}', target


def _how_many(scene: _Scene) -> Iterator[tuple[str, str]]:
    for kind in (Kind(), *_askable_kinds(scene)):
        count = len(select(scene.objects, kind))
        yield f'How many {kind.plural} are there?', str(count)


def _how_many_in_direction(scene: _Scene) -> Iterator[tuple[str, str]]:
    for anchor_kind, anchor in named_objects(scene.objects):
        for kind in kinds_in(scene.objects):
            if select(scene.objects, kind) == [anchor]:
                continue  # nothing to count but the anchor itself
            for relation in DIRECTIONS:
                found = in_direction(scene.objects, kind, relation, anchor, scene.size)
                if found is not None:
                    text = f'How many {kind.plural} are {relation} the {anchor_kind.singular}?'
                    yield text, str(len(found))


def _is_there(scene: _Scene) -> Iterator[tuple[str, str]]:
    for kind in _askable_kinds(scene):
        yield f'Is there {kind.with_article}?', _yes_no(bool(select(scene.objects, kind)))


def _askable_kinds(scene: _Scene) -> list[Kind]:
    """All colors and shapes, and the pairs whose color or shape is in the scene."""
    colors = {obj.color for obj in scene.objects}
    shapes = {obj.shape for obj in scene.objects}
    near = [Kind(c, s) for c, s in scene.pairs if c in colors or s in shapes]
    return [Kind(color=c) for c in COLORS] + [Kind(shape=s) for s in SHAPES] + near


def _is_in_direction(scene: _Scene) -> Iterator[tuple[str, str]]:
    for (kind, i), (anchor_kind, anchor) in _distinct_pairs(scene):
        for relation in DIRECTIONS:
            verdict = is_in_direction(relation, scene.objects[i], scene.objects[anchor], scene.size)
            if verdict is not None:
                text = f'Is the {kind.singular} {relation} the {anchor_kind.singular}?'
                yield text, _yes_no(verdict)


def _is_larger_or_smaller(scene: _Scene) -> Iterator[tuple[str, str]]:
    for (kind, i), (other_kind, j) in _distinct_pairs(scene):
        verdict = is_larger(scene.objects[i], scene.objects[j])
        if verdict is not None:
            for word, answer in (('larger', verdict), ('smaller', not verdict)):
                text = f'Is the {kind.singular} {word} than the {other_kind.singular}?'
                yield text, _yes_no(answer)


def _distinct_pairs(scene: _Scene) -> Iterator[tuple[tuple[Kind, int], tuple[Kind, int]]]:
    for first, second in permutations(named_objects(scene.objects), 2):
        if first[1] != second[1]:
            yield first, second


def _are_there_more(scene: _Scene) -> Iterator[tuple[str, str]]:
    """Shapes against shapes and colors against colors that the scene has, in unequal numbers.

    With equal numbers, both orders of the two would be answered "no".
    """
    kinds = [k for k in kinds_in(scene.objects) if (k.color is None) != (k.shape is None)]
    counts = {kind: len(select(scene.objects, kind)) for kind in kinds}
    for kind, other in permutations(kinds, 2):
        if (kind.color is None) == (other.color is None) and counts[kind] != counts[other]:
            answer = _yes_no(counts[kind] > counts[other])
            yield f'Are there more {kind.plural} than {other.plural}?', answer


def _yes_no(verdict: bool) -> str:
    return 'yes' if verdict else 'no'


# Type -> forms of question; a form is sampled uniformly from those that the scene allows.
QUESTION_TYPES = {
    'color': (_what_color,),
    'shape': (_what_shape,),
    'count': (_how_many, _how_many_in_direction),
    'existence': (_is_there,),
    'relation': (_is_in_direction,),
    'comparison': (_is_larger_or_smaller, _are_there_more),
}
