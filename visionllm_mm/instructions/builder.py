"""Writes instructions: a template with a category set, a range and an output format filled in (paper, section 3.2)."""

import json
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from .vocabulary import IMAGE_PLACEHOLDER, Vocabulary


def check_class_names(class_names: Sequence[str], num_class_tokens: int) -> None:
    """Checks that an instruction can ask for a class set.

    Args:
        class_names: the set.
        num_class_tokens: how many class tokens the vocabulary has.

    Raises:
        TypeError: when a name is not a string.
        ValueError: when the set or a name is empty, a name holds an added token or is listed twice, or there are more
            names than class tokens.
    """
    if not class_names:
        raise ValueError('the class set is empty: name at least one class to look for')
    check_names(class_names, 'class names')
    if len(class_names) > num_class_tokens:
        raise ValueError(
            f'{len(class_names)} classes, but the vocabulary has only {num_class_tokens} class tokens: '
            'ask for fewer classes at a time (max_classes of the instruction transform asks for those '
            'of a data set in groups), or train with a larger Vocabulary.num_classes'
        )


def check_names(names: Sequence[str], what: str) -> None:
    """Checks that names can be written into an instruction.

    Args:
        names: names of classes or points.
        what: how the message calls them, such as ``class names``.

    Raises:
        TypeError: when one is not a string, or ``names`` itself is a string.
        ValueError: when one is blank, holds an added token or is listed twice.
    """
    if isinstance(names, str):
        raise TypeError(f'{what} must be a list of strings, got the string {names!r}: put it in a list')
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f'{what} must be strings, got {name!r} of type {type(name).__name__}')
    blank = [i for i, name in enumerate(names) if not name.strip()]
    if blank:
        raise ValueError(f'{what} must not be blank, but number {blank[0]} of {list(names)} is')
    reserved = [name for name in names if re.search(r'<(image|c\d+)>', name)]
    if reserved:
        raise ValueError(f'{what} must not hold <image> or class tokens such as <c0>, but {reserved} do')
    twice = sorted(name for name, count in Counter(map(str.strip, names)).items() if count > 1)
    if twice:
        raise ValueError(f'{what} must differ, but {twice} are listed more than once')


def write_class_set(class_names: Sequence[str]) -> str:
    """``{"circle": <c0>, "red star": <c1>}``: names as JSON strings, in the given order."""
    entries = (f'{json.dumps(name, ensure_ascii=False)}: <c{i}>' for i, name in enumerate(class_names))
    return '{' + ', '.join(entries) + '}'


def write_tokens(output_format: Sequence[str]) -> list[str]:
    """Each token of an output format as an instruction writes it: ``['c', 'x1', 'y1', ...]``."""
    return ['c' if token == '<cls>' else token.strip('<>') for token in output_format]


def write_format(output_format: Sequence[str]) -> str:
    """An output format as an instruction writes it: ``(c, x1, y1, x2, y2)``, ``(c, x1, y1, ..., x8, y8)``."""
    tokens = write_tokens(output_format)
    if len(tokens) > 7:
        tokens[3:-2] = ['...']
    return '(' + ', '.join(tokens) + ')'


def build_instruction(
    template: str,
    class_names: Sequence[str],
    output_format: Sequence[str],
    vocabulary: Vocabulary,
    point_names: Sequence[str] | None = None,
) -> str:
    """Fills in a template.

    Args:
        template: text with the placeholders ``<image>``, ``<class>``, ``<range>`` and ``<format>``, each once, and
            ``<points>`` where points have names.
        class_names: the category set, in the order of its class tokens.
        output_format: tokens such as ``('<cls>', '<x1>', '<y1>', '<x2>', '<y2>')``.
        vocabulary: gives the range and the number of class tokens.
        point_names: names of the format's points, in order; None: points of a polygon or a box.

    Raises:
        TypeError, ValueError: see :func:`check_class_names`; also when a placeholder is missing or repeated, or there
            are not as many names as points.
    """
    check_class_names(class_names, vocabulary.num_classes)
    point_placeholder = [] if point_names is None else ['<points>']
    if point_placeholder and len(point_names) != (len(output_format) - 1) // 2:
        raise ValueError(
            f'the format {write_format(output_format)} has {(len(output_format) - 1) // 2} points, but '
            f'{len(point_names)} names are given: {list(point_names)}'
        )
    for placeholder in (IMAGE_PLACEHOLDER, '<class>', '<range>', '<format>', *point_placeholder):
        if template.count(placeholder) != 1:
            raise ValueError(
                f'the template must hold {placeholder} once, not {template.count(placeholder)} times: {template!r}'
            )
    # Names go in last: a class may be called "<range>".
    text = template.replace('<range>', str(vocabulary.coord_range)).replace('<format>', write_format(output_format))
    before, after = text.split('<class>')
    if point_placeholder:
        written = json.dumps(list(point_names), ensure_ascii=False)
        before, after = before.replace('<points>', written), after.replace('<points>', written)
    return before + write_class_set(class_names) + after


def build_text_instruction(template: str, question: str | None = None) -> str:
    """Fills in a template that asks for text.

    Args:
        template: text with the placeholder ``<image>`` and, where there is a question, ``<question>``, each once.
        question: the question; in a conversation the first one.

    Raises:
        ValueError: when a placeholder is missing or repeated, or the question is blank or holds ``<image>``.
    """
    if template.count(IMAGE_PLACEHOLDER) != 1 or template.count('<question>') != (question is not None):
        rest = ' once, and no <question>' if question is None else ' and <question> once each'
        raise ValueError(f'the template must hold {IMAGE_PLACEHOLDER}{rest}: {template!r}')
    if question is None:
        return template
    if not question.strip():
        raise ValueError('the question is empty: ask something')
    if IMAGE_PLACEHOLDER in question:
        raise ValueError(
            f'the question must not hold {IMAGE_PLACEHOLDER}, the template states where it goes: {question!r}'
        )
    return template.replace('<question>', question.strip())


def sample_class_set(
    num_classes: int, present: Sequence[int], rng: np.random.RandomState, *, subset_prob: float, max_classes: int
) -> list[int]:
    """Samples the category set of one training image: a random subset in random order (paper, section 4.1).

    Args:
        num_classes: number of classes of the data set.
        present: class indices that the image shows; they are favored when not all classes fit into the set.
        rng: source of randomness.
        subset_prob: probability in [0, 1] of a random subset of random size, whatever the image shows; else all classes
            are listed or, of more than ``max_classes``, those that the image shows and others.
        max_classes: the most classes one instruction may list.

    Returns:
        Distinct class indices, at least one.
    """
    if rng.random_sample() < subset_prob:
        size = rng.randint(1, min(num_classes, max_classes) + 1)
        return rng.permutation(num_classes)[:size].tolist()
    if num_classes <= max_classes:
        return rng.permutation(num_classes).tolist()
    shown = rng.permutation(sorted(set(present)))[:max_classes]
    others = rng.permutation(np.setdiff1d(np.arange(num_classes), shown))[: max_classes - len(shown)]
    return rng.permutation(np.concatenate([shown, others]).astype(int)).tolist()
