"""Random expressions and questions about annotated objects, as LLaVA-Instruct's were made from lists of boxes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import BaseBoxes

ANY_OBJECT = 'object'
"""The name of all objects."""

# Relation -> (which of center x, center y and area, sign of the difference to the object that it refers to).
RELATIONS = {
    'left of': (0, -1),
    'right of': (0, 1),
    'above': (1, -1),
    'below': (1, 1),
    'larger than': (2, 1),
    'smaller than': (2, -1),
}
_POSITIONS, _SIZES = tuple(RELATIONS)[:4], tuple(RELATIONS)[4:]
# True of one object alone, so it is sampled more often than each of the others.
_CLOSEST = 'closest to'
_SAMPLED_RELATIONS = (*RELATIONS, *3 * [_CLOSEST])
# A question, its answer, and its phrases that stand for objects.
_Turn = tuple[str, str, tuple[tuple[str, tuple[int, ...]], ...]]


def _names_of(labels: Sequence[int], names: Sequence[str]) -> list[list[str]]:
    """Names of each object: its own and, where that has several words, parts of it, "star" and "red object"."""
    found = []
    for label in labels:
        *first, last = names[label].split()
        found.append([names[label], last, f'{" ".join(first)} {ANY_OBJECT}'] if first else [names[label]])
    return found


def _counts(names: list[list[str]]) -> Counter:
    """How many objects each name is true of."""
    return Counter(name for own in names for name in own)


def _unique(names: list[list[str]], counts: Counter) -> list[tuple[int, str]]:
    """Objects with the names that no other object has."""
    return [(i, name) for i, own in enumerate(names) for name in own if counts[name] == 1]


def _in_relation(boxes: BaseBoxes, relation: str, to: int) -> np.ndarray:
    """(K,) bool, which objects are in a relation to one of them, such as left of it."""
    value, sign = RELATIONS[relation]
    measured = np.column_stack([boxes.centers.numpy(), boxes.areas.numpy()])[:, value]
    return sign * (measured - measured[to]) > 0


def _closest(boxes: BaseBoxes, rows: Sequence[int], to: int) -> np.ndarray:
    """(K,) bool, which one of some objects is closest to another one."""
    centers = boxes.centers.numpy()
    distances = np.linalg.norm(centers - centers[to], axis=1)
    return np.arange(len(centers)) == min((row for row in rows if row != to), key=distances.__getitem__)


@dataclass
class _Scene:
    """Boxes and names of objects, and what other scenes show, too."""

    boxes: BaseBoxes
    names: list[list[str]]
    all_names: Sequence[str]

    @cached_property
    def counts(self) -> Counter:
        return _counts(self.names)

    @cached_property
    def unique(self) -> list[tuple[int, str]]:
        return _unique(self.names, self.counts)

    def rows(self, name: str) -> tuple[int, ...]:
        """The objects of that name."""
        return tuple(row for row, own in enumerate(self.names) if name in own)


def _sample(options: Sequence) -> object:
    return options[np.random.randint(len(options))]


class _RandomText(BaseTransform):
    def __init__(self, prob: float = 0.5) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'{type(self).__name__}: prob must lie within 0 .. 1, got {prob}')
        self.prob = prob

    def transform(self, results: dict) -> dict:
        # A crowd region is no object that could be meant or counted.
        if np.random.random_sample() < self.prob and not np.any(results.get('gt_ignore_flags', False)):
            names = _names_of(results['gt_bboxes_labels'], results['object_names'])
            self.replace(results, names)
        return results


@TRANSFORMS.register_module()
class RandomRelation(_RandomText):
    """Asks for all objects in a random relation to another one instead of what the sample's expression means.

    "The ring left of the red star" is true or false of every object, whereas an expression that means one object, and
    much more a question with a yes or no, teaches little per sample about what "left of" means.

    Required keys: ``gt_bboxes``, ``gt_bboxes_labels`` (positions in ``object_names``) and ``object_names``.
    Changed keys: ``text``, such as "the ring left of the red star", and ``described``, a tuple of bools that may all be
    False. Added key: ``question_phrases``, the phrases of the expression, see :class:`RandomQuestions`. Samples without
    an object that has a name of its own, or with a crowd, stay as they are.

    Args:
        prob: probability in [0, 1] of another expression.

    Raises:
        ValueError: when ``prob`` is out of range.
    """

    def replace(self, results: dict, names: list[list[str]]) -> None:
        """Replaces the expression, in place; ``names`` are those of each object."""
        unique = _unique(names, _counts(names))
        if not unique or len(names) < 2:
            return
        anchor, anchor_name = _sample(unique)
        other = (anchor + 1 + np.random.randint(len(names) - 1)) % len(names)
        kind = _sample([ANY_OBJECT, *names[other]])
        relation, boxes = _sample(_SAMPLED_RELATIONS), results['gt_bboxes']
        rows = tuple(i for i, own in enumerate(names) if kind == ANY_OBJECT or kind in own)
        fits = _closest(boxes, rows, anchor) if relation == _CLOSEST else _in_relation(boxes, relation, anchor)
        results['text'] = f'the {kind} {relation} the {anchor_name}'
        results['described'] = tuple(bool(fit) and row in rows for row, fit in enumerate(fits))
        results['question_phrases'] = [((kind, rows), (anchor_name, (anchor,)))]


@TRANSFORMS.register_module()
class RandomQuestions(_RandomText):
    """Asks random questions about objects instead of the sample's own: many about few scenes.

    ``place``: "Is the ring left of the red star?", ``size``: "Is the ring larger than the red star?", ``more``: "Are
    there more rings than stars?", ``count``: "How many rings are there?", ``exists``: "Is there a ring?" and ``part``:
    "What color is the ring?", "What shape is the red object?".

    Required keys: ``gt_bboxes``, ``gt_bboxes_labels`` (positions in ``object_names``) and ``object_names``.
    Changed keys: ``question``, ``history`` and ``gt_caption``, see :class:`ConversationDataset`. Added key:
    ``question_phrases``, for each question its phrases that stand for objects, each with the rows of those objects:
    ``(('ring', (2,)), ('red star', (0,)))``. Samples that allow no question, or with a crowd, stay as they are.

    Args:
        prob: probability in [0, 1] of other questions.
        plurals: of last words of names; of others, it is the word with an "s".
        num_turns: the most questions.
        kinds: of questions, each sampled equally often; fewer are asked where one is not possible.
        parts: what the words before a name's last one stand for, and what the last one stands for, such as ``('color',
            'shape')`` of "red star". ``part`` needs them.

    Raises:
        ValueError: when ``prob`` is out of range, there is no such kind of question, or ``part`` lacks what it needs.
    """

    def __init__(
        self,
        prob: float = 0.5,
        plurals: Mapping[str, str] | None = None,
        num_turns: int = 6,
        kinds: Sequence[str] = ('place', 'size', 'more', 'count'),
        parts: tuple[str, str] | None = None,
    ) -> None:
        super().__init__(prob)
        self.makers = dict(
            place=partial(self._relation, _POSITIONS),
            size=partial(self._relation, _SIZES),
            more=self._more,
            count=self._count,
            exists=self._exists,
            part=self._part,
        )
        unknown = [kind for kind in kinds if kind not in self.makers]
        if unknown or not kinds:
            raise ValueError(f'RandomQuestions: kinds must be some of {list(self.makers)}, got {list(kinds)}')
        if 'part' in kinds and (parts is None or len(parts) != 2):
            raise ValueError(
                "RandomQuestions: the kind 'part' needs two parts, such as ('color', 'shape') of \"red star\", "
                f'got parts={parts!r}'
            )
        self.kinds = tuple(kinds)
        self.plurals = dict(plurals or {})
        self.num_turns = num_turns
        self.parts = parts

    def replace(self, results: dict, names: list[list[str]]) -> None:
        """Replaces the questions, in place; ``names`` are those of each object."""
        scene = _Scene(results['gt_bboxes'], names, results['object_names'])
        sampled = [self.makers[_sample(self.kinds)](scene) for _ in range(self.num_turns)]
        asked = {question: (answer, phrases) for question, answer, phrases in filter(None, sampled)}
        if asked:
            turns = [text for question, (answer, _) in asked.items() for text in (question, answer)]
            results.update(
                question=turns[0],
                history=tuple(turns[1:-1]),
                gt_caption=turns[-1:],
                question_phrases=[phrases for _, phrases in asked.values()],
            )

    def _relation(self, relations: Sequence[str], scene: _Scene) -> _Turn | None:
        """Whether one object is left of, or larger than, another."""
        if not scene.unique:
            return None
        (first, first_name), (second, second_name) = _sample(scene.unique), _sample(scene.unique)
        if first == second:
            return None
        relation = _sample(relations)
        true = _in_relation(scene.boxes, relation, second)[first]
        return (
            f'Is the {first_name} {relation} the {second_name}?',
            _yes_no(true),
            ((first_name, (first,)), (second_name, (second,))),
        )

    def _more(self, scene: _Scene) -> _Turn | None:
        """Whether there are more of one name than of another; there are always more of any object."""
        if not scene.counts:
            return None
        first, second = _sample(list(scene.counts)), _sample(list(scene.counts))
        if scene.counts[first] == scene.counts[second]:
            return None
        phrases = tuple((self._plural(name), scene.rows(name)) for name in (first, second))
        more = scene.counts[first] > scene.counts[second]
        return f'Are there more {phrases[0][0]} than {phrases[1][0]}?', _yes_no(more), phrases

    def _count(self, scene: _Scene) -> _Turn | None:
        """How many of a name there are; a third of the names are any, and most often none are there."""
        names = list(scene.counts)
        if np.random.randint(3) == 0:
            names = self._any_names(scene)
        else:
            names.append(ANY_OBJECT)
        if not names:
            return None
        name = _sample(names)
        rows = tuple(range(len(scene.names))) if name == ANY_OBJECT else scene.rows(name)
        return f'How many {self._plural(name)} are there?', str(len(rows)), ((self._plural(name), rows),)

    def _exists(self, scene: _Scene) -> _Turn | None:
        """Whether there is one of a name; as often as not, none is."""
        names = list(scene.counts)
        if np.random.randint(2) == 0:
            names = [name for name in self._any_names(scene) if name not in scene.counts]
        if not names:
            return None
        name = _sample(names)
        rows = scene.rows(name)
        return f'Is there {"an" if name[0] in "aeiou" else "a"} {name}?', _yes_no(rows), ((name, rows),)

    def _part(self, scene: _Scene) -> _Turn | None:
        """Which one part of an object's name is, asked with the other part."""
        asked = []
        for row, name in scene.unique:
            if len(scene.names[row]) < 3:
                continue
            _, last, start = scene.names[row]
            if name == last:
                asked.append(
                    (
                        f'What {self.parts[0]} is the {name}?',
                        start.removesuffix(f' {ANY_OBJECT}'),
                        ((name, (row,)),),
                    )
                )
            elif name == start:
                asked.append((f'What {self.parts[1]} is the {name}?', last, ((name, (row,)),)))
        return _sample(asked) if asked else None

    def _any_names(self, scene: _Scene) -> list[str]:
        """Names of a random object, shown or not."""
        return _names_of([np.random.randint(len(scene.all_names))], scene.all_names)[0]

    def _plural(self, name: str) -> str:
        *first, last = name.split()
        return ' '.join([*first, self.plurals.get(last, f'{last}s')])


def _yes_no(true: object) -> str:
    return 'yes' if true else 'no'
