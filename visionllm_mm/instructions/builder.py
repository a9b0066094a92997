"""Writes instructions: a template with a category set, a range and an output format filled in (paper, section 3.2)."""

import json
from collections.abc import Sequence

import numpy as np

from .names import check_class_names, check_names, check_text, shorten
from .parser import CLASS_TOKEN, FORMAT, Instruction, parse_instruction
from .vocabulary import IMAGE_PLACEHOLDER, Vocabulary, point_format


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
        TypeError, ValueError: see :func:`check_class_names`; also when a placeholder is missing or repeated, the format
            is none of points, there are not as many names as points, or the template's own words would be read as
            another class set, format, range or list of names.
    """
    check_text(template, 'the template')
    check_class_names(class_names, vocabulary.num_classes)
    num_points = _check_format(output_format, vocabulary)
    placeholders = [IMAGE_PLACEHOLDER, '<class>', '<range>', '<format>']
    if point_names is not None:
        check_names(point_names, 'point names')
        placeholders.append('<points>')
        if len(point_names) != num_points:
            raise ValueError(
                f'the format {write_format(output_format)} has {num_points} points, but '
                f'{len(point_names)} names are given: {shorten(list(point_names))}'
            )
    for placeholder in placeholders:
        if template.count(placeholder) != 1:
            raise ValueError(
                f'the template must hold {placeholder} once, not {template.count(placeholder)} times: '
                f'{shorten(template)}'
            )
    # Names go in last: a class may be called "<range>".
    text = template.replace('<range>', str(vocabulary.coord_range)).replace('<format>', write_format(output_format))
    before, after = text.split('<class>')
    if point_names is not None:
        written = json.dumps(list(point_names), ensure_ascii=False)
        before, after = before.replace('<points>', written), after.replace('<points>', written)
    text = before + write_class_set(class_names) + after
    named = () if point_names is None else tuple(point_names)
    wanted = tuple(class_names), tuple(output_format), vocabulary.coord_range, named
    _check_template(template, parse_instruction(text, vocabulary), wanted)
    return text


def _check_template(template: str, read: Instruction, wanted: tuple) -> None:
    """A ValueError where the words of a template change what is read."""
    if (read.class_names, read.output_format, read.coord_range, read.point_names) != wanted:
        raise ValueError(
            f'the words of the template {shorten(template)} are read as classes {shorten(read.class_names)}, format '
            f'{write_format(read.output_format)}, range {read.coord_range}, point names {shorten(read.point_names)}: '
            'take such notation out of it'
        )


def _check_format(output_format: Sequence[str], vocabulary: Vocabulary) -> int:
    """The number of points of an output format; a ValueError where it is none of points, or has too many."""
    tokens = tuple(output_format) if isinstance(output_format, Sequence) else ()
    num_points = (len(tokens) - 1) // 2
    if num_points < 1 or tokens != point_format(num_points):
        raise ValueError(
            f'an output format is a class and points, such as {point_format(2)}, got {shorten(output_format)}'
        )
    vocabulary.format_ids(tokens)
    return num_points


def build_text_instruction(template: str, question: str | None = None) -> str:
    """Fills in a template that asks for text.

    Args:
        template: text with the placeholder ``<image>`` and, where there is a question, ``<question>``, each once.
        question: the question; in a conversation the first one.

    Raises:
        TypeError: when template or question is not a string.
        ValueError: when a placeholder is missing or repeated, or the question is blank, holds ``<image>``, a class
            token or an output format, or half of a character.
    """
    check_text(template, 'the template')
    if template.count(IMAGE_PLACEHOLDER) != 1 or template.count('<question>') != (question is not None):
        rest = ' once, and no <question>' if question is None else ' and <question> once each'
        raise ValueError(f'the template must hold {IMAGE_PLACEHOLDER}{rest}: {shorten(template)}')
    if question is None:
        return template
    check_text(question, 'the question')
    if not question.strip():
        raise ValueError('the question is empty: ask something')
    if IMAGE_PLACEHOLDER in question:
        raise ValueError(
            f'the question must not hold {IMAGE_PLACEHOLDER}, the template states where it goes: {shorten(question)}'
        )
    if CLASS_TOKEN.search(question) or FORMAT.search(question):
        raise ValueError(
            f'the question holds notation that asks for objects, such as <c0> or (c, x1, y1): {shorten(question)}. Ask '
            'in words, or give the whole text as an instruction'
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
