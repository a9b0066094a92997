"""Expressions and questions made from what is known of objects, as LLaVA-Instruct's were from lists of boxes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import BaseBoxes

# Relation -> (which of centre x, centre y and area, sign of the difference to the object that it refers to).
RELATIONS = {
    'left of': (0, -1),
    'right of': (0, 1),
    'above': (1, -1),
    'below': (1, 1),
    'larger than': (2, 1),
    'smaller than': (2, -1),
}
_PLACES, _SIZES = tuple(RELATIONS)[:4], tuple(RELATIONS)[4:]


def _names_of(labels: Sequence[int], names: Sequence[str], any_object: str | None) -> list[list[str]]:
    """What each object may be called: its name and, where that has several words, parts of it."""
    found = []
    for label in labels:
        *first, last = names[label].split()
        whole = any_object is None or not first
        found.append([names[label]] if whole else [names[label], last, f'{" ".join(first)} {any_object}'])
    return found


def _counts(names: list[list[str]]) -> Counter:
    """How many objects each name is true of."""
    return Counter(name for own in names for name in own)


def _unique(names: list[list[str]], counts: Counter) -> list[tuple[int, str]]:
    """Objects with the names that no other object has."""
    return [(i, name) for i, own in enumerate(names) for name in own if counts[name] == 1]


def _in_relation(boxes: BaseBoxes, relation: str, to: int) -> np.ndarray:
    """(K,) bool, which objects are, say, left of one of them, which itself is not."""
    value, sign = RELATIONS[relation]
    measured = np.column_stack([boxes.centers.numpy(), boxes.areas.numpy()])[:, value]
    return sign * (measured - measured[to]) > 0


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


def _draw(options: Sequence) -> object:
    return options[np.random.randint(len(options))]


class _DrawnText(BaseTransform):

    def __init__(self, prob: float = 0.5, any_object: str | None = 'object') -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'{type(self).__name__}: prob must lie within 0 .. 1, got {prob}')
        self.prob = prob
        self.any_object = any_object

    def transform(self, results: dict) -> dict:
        if np.random.random_sample() < self.prob:
            names = _names_of(results['gt_bboxes_labels'], results['object_names'], self.any_object)
            self.draw(results, names)
        return results


@TRANSFORMS.register_module()
class DrawRelation(_DrawnText):
    """Asks for all objects in a random relation to another one instead of what the sample's expression means.

    "The rings left of the red star" is true or false of every object, whereas an expression that means one object, and
    much more a question with a yes or no, says little per sample about what "left of" means.

    Required keys: ``gt_bboxes``, ``gt_bboxes_labels`` (positions in ``object_names``) and ``object_names``.
    Changed keys: ``text``, such as "the ring left of the red star", and ``described``, a tuple of bools that may all be
    False. Samples without an object that can be told from all others by its name stay as they are.

    Args:
        prob: probability in [0, 1] of another expression.
        any_object: what all things are. A name of several words, such as "red star", has further forms with parts of
            it: "star", its last word, and "red object". None: names are used whole.

    Raises:
        ValueError: when ``prob`` is out of range.
    """

    def draw(self, results: dict, names: list[list[str]]) -> None:
        """Replaces the expression, in place; ``names`` are those of each object."""
        unique = _unique(names, _counts(names))
        if not unique or len(names) < 2:
            return
        anchor, anchor_name = _draw(unique)
        other = (anchor + 1 + np.random.randint(len(names) - 1)) % len(names)
        kind = _draw(names[other] if self.any_object is None else [self.any_object, *names[other]])
        relation = _draw(list(RELATIONS))
        fits = _in_relation(results['gt_bboxes'], relation, anchor)
        results['text'] = f'the {kind} {relation} the {anchor_name}'
        results['described'] = tuple(
            bool(fit and (kind == self.any_object or kind in own)) for fit, own in zip(fits, names, strict=True))


@TRANSFORMS.register_module()
class DrawQuestions(_DrawnText):
    """Asks random questions that compare and count instead of the sample's own: many about few scenes.

    ``place``: "Is the ring left of the red star?", ``size``: "Is the ring larger than the red star?", ``more``: "Are
    there more rings than stars?" and ``count``: "How many rings are there?".

    Required keys: ``gt_bboxes``, ``gt_bboxes_labels`` (positions in ``object_names``) and ``object_names``.
    Changed keys: ``question``, ``history`` and ``gt_caption``, see :class:`ConversationDataset`. Added key:
    ``asked_objects``, for each question its phrases that stand for objects, each with the rows of those objects:
    ``(('ring', (2,)), ('red star', (0,)))``. Samples that allow no question stay as they are.

    Args:
        prob: probability in [0, 1] of other questions.
        any_object: see :class:`DrawRelation`.
        plurals: of last words of names; of others, it is the word with an "s".
        num_turns: the most questions.
        kinds: of questions, each drawn equally often; fewer are asked where one is not possible.

    Raises:
        ValueError: when ``prob`` is out of range, or there is no such kind of question.
    """

    def __init__(self, prob: float = 0.5, any_object: str | None = 'object', plurals: Mapping[str, str] | None = None,
                 num_turns: int = 6, kinds: Sequence[str] = ('place', 'size', 'more', 'count')) -> None:
        super().__init__(prob, any_object)
        self.makers = dict(place=partial(self._relation, _PLACES), size=partial(self._relation, _SIZES),
                           more=self._more, count=self._count)
        unknown = [kind for kind in kinds if kind not in self.makers]
        if unknown or not kinds:
            raise ValueError(f'DrawQuestions: kinds must be some of {list(self.makers)}, got {list(kinds)}')
        self.kinds = tuple(kinds)
        self.plurals = dict(plurals or {})
        self.num_turns = num_turns

    def draw(self, results: dict, names: list[list[str]]) -> None:
        """Replaces the questions, in place; ``names`` are those of each object."""
        scene = _Scene(results['gt_bboxes'], names, results['object_names'])
        drawn = [self.makers[_draw(self.kinds)](scene) for _ in range(self.num_turns)]
        asked = {question: (answer, phrases) for question, answer, phrases in filter(None, drawn)}
        if asked:
            turns = [text for question, (answer, _) in asked.items() for text in (question, answer)]
            results.update(question=turns[0], history=tuple(turns[1:-1]), gt_caption=turns[-1:],
                           asked_objects=[phrases for _, phrases in asked.values()])

    def _relation(self, relations: Sequence[str], scene: _Scene) -> tuple[str, str, tuple] | None:
        """Whether one object is left of, or larger than, another."""
        if not scene.unique:
            return None
        (first, first_name), (second, second_name) = _draw(scene.unique), _draw(scene.unique)
        if first == second:
            return None
        relation = _draw(relations)
        true = _in_relation(scene.boxes, relation, second)[first]
        return (f'Is the {first_name} {relation} the {second_name}?', 'yes' if true else 'no',
                ((first_name, (first,)), (second_name, (second,))))

    def _more(self, scene: _Scene) -> tuple[str, str, tuple] | None:
        """Whether there are more of one name than of another; there are always more of any object."""
        if not scene.counts:
            return None
        first, second = _draw(list(scene.counts)), _draw(list(scene.counts))
        if scene.counts[first] == scene.counts[second]:
            return None
        phrases = tuple((self._plural(name), scene.rows(name)) for name in (first, second))
        more = scene.counts[first] > scene.counts[second]
        return f'Are there more {phrases[0][0]} than {phrases[1][0]}?', 'yes' if more else 'no', phrases

    def _count(self, scene: _Scene) -> tuple[str, str, tuple] | None:
        """How many of a name there are; a third of the names are any, and most often none are there."""
        names = list(scene.counts)
        if np.random.randint(3) == 0:
            names = _names_of([np.random.randint(len(scene.all_names))], scene.all_names, self.any_object)[0]
        elif self.any_object is not None:
            names.append(self.any_object)
        if not names:
            return None
        name = _draw(names)
        rows = tuple(range(len(scene.names))) if name == self.any_object else scene.rows(name)
        return f'How many {self._plural(name)} are there?', str(len(rows)), ((self._plural(name), rows),)

    def _plural(self, name: str) -> str:
        *first, last = name.split()
        return ' '.join([*first, self.plurals.get(last, f'{last}s')])
