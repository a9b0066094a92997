"""Expressions and questions made from what is known of objects, as LLaVA-Instruct's were from lists of boxes."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

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

    "Is the ring left of the red star?", "Is the ring larger than the red star?", "Are there more rings than stars?" and
    "How many rings are there?", each kind as often as it is possible.

    Required keys: ``gt_bboxes``, ``gt_bboxes_labels`` (positions in ``object_names``) and ``object_names``.
    Changed keys: ``question``, ``history`` and ``gt_caption``, see :class:`ConversationDataset`. Added key:
    ``asked_objects``, for each question the rows of the objects that it compares. Samples that allow no question stay
    as they are.

    Args:
        prob: probability in [0, 1] of other questions.
        any_object: see :class:`DrawRelation`.
        plurals: of last words of names; of others, it is the word with an "s".
        num_turns: the most questions.

    Raises:
        ValueError: when ``prob`` is out of range.
    """

    def __init__(self, prob: float = 0.5, any_object: str | None = 'object', plurals: Mapping[str, str] | None = None,
                 num_turns: int = 6) -> None:
        super().__init__(prob, any_object)
        self.plurals = dict(plurals or {})
        self.num_turns = num_turns

    def draw(self, results: dict, names: list[list[str]]) -> None:
        """Replaces the questions, in place; ``names`` are those of each object."""
        asked = {question: rest for question, *rest in self._questions(results['gt_bboxes'], names)}
        if asked:
            turns = [text for question, (answer, _) in asked.items() for text in (question, answer)]
            results.update(question=turns[0], history=tuple(turns[1:-1]), gt_caption=turns[-1:],
                           asked_objects=[objects for _, objects in asked.values()])

    def _questions(self, boxes: BaseBoxes, names: list[list[str]]) -> Iterator[tuple[str, str, tuple[int, ...]]]:
        """Questions, answers, and which objects are compared."""
        counts = _counts(names)
        unique = _unique(names, counts)
        comparable = list(counts)  # there are always more of any object
        if self.any_object is not None:
            counts[self.any_object] = len(names)
        relations = list(RELATIONS)
        for _ in range(self.num_turns):
            form = np.random.randint(4)
            if form < 2 and len({i for i, _ in unique}) > 1:
                first, second = _draw(unique), _draw(unique)
                if first[0] != second[0]:
                    relation = _draw(relations[:4] if form == 0 else relations[4:])
                    true = _in_relation(boxes, relation, second[0])[first[0]]
                    question = f'Is the {first[1]} {relation} the {second[1]}?'
                    yield question, 'yes' if true else 'no', (first[0], second[0])
            elif form == 2 and comparable:
                first, second = _draw(comparable), _draw(comparable)
                if counts[first] != counts[second]:
                    more = counts[first] > counts[second]
                    yield (f'Are there more {self._plural(first)} than {self._plural(second)}?',
                           'yes' if more else 'no', ())
            elif counts:
                kind = _draw(list(counts))
                yield f'How many {self._plural(kind)} are there?', str(counts[kind]), ()

    def _plural(self, name: str) -> str:
        *first, last = name.split()
        return ' '.join([*first, self.plurals.get(last, f'{last}s')])
