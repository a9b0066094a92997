"""Names and texts that instructions are made of: checks, and pairs that a reader takes for one name."""

import logging
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import lru_cache

from mmengine.logging import print_log

_RESERVED = re.compile(r'<(image|c\d+)>')
_SURROGATE = re.compile('[\ud800-\udfff]')


def shorten(value: object, limit: int = 80) -> str:
    """A value as messages show it: its ``repr``, cut to ``limit`` characters."""
    text = repr(value[: limit + 1] if isinstance(value, str | list | tuple) else value)
    return text if len(text) <= limit else f'{text[: limit - 4]}...{text[-1]}'


def check_text(text: str, what: str) -> None:
    """Checks that a tokenizer can read a text.

    Args:
        text: the text.
        what: how the message calls it, such as ``the question``.

    Raises:
        TypeError: when it is not a string.
        ValueError: when it holds a lone surrogate, half of a character, as JSON's ``"\\ud83d"`` is.
    """
    if not isinstance(text, str):
        raise TypeError(f'{what} must be a string, got {shorten(text)} of type {type(text).__name__}')
    if found := _SURROGATE.search(text):
        around = text[max(0, found.start() - 20) : found.end() + 20]
        raise ValueError(
            f'{what} holds half of a character, {found[0]!r} at position {found.start()}, in {around!r}: '
            'write the whole character, or take it out'
        )


def check_class_names(class_names: Sequence[str], num_class_tokens: int | None) -> None:
    """Checks that an instruction can ask for a class set.

    Args:
        class_names: the set, as a list or an array.
        num_class_tokens: how many class tokens the vocabulary has; None: the set is asked for in groups.

    Raises:
        TypeError: when a name is not a string, or the names have no order.
        ValueError: when the set or a name is empty, a name holds an added token or half of a character or is listed
            twice, or there are more names than class tokens.
    """
    check_names(class_names, 'class names')
    if len(class_names) == 0:
        raise ValueError('the class set is empty: name at least one class to look for')
    if num_class_tokens is not None and len(class_names) > num_class_tokens:
        raise ValueError(
            f'{len(class_names)} classes, but the vocabulary has only {num_class_tokens} class tokens: '
            'ask for fewer classes at a time (max_classes of the instruction transform asks for those '
            'of a data set in groups), or train with a larger Vocabulary.num_classes'
        )


def check_names(names: Sequence[str], what: str) -> None:
    """Checks that names can be written into an instruction.

    Args:
        names: names of classes or points, as a list or an array.
        what: how the message calls them, such as ``class names``.

    Raises:
        TypeError: when one is not a string, or ``names`` itself is a string or has no order.
        ValueError: when one is blank, holds an added token or half of a character, or is listed twice.
    """
    if isinstance(names, str):
        raise TypeError(f'{what} must be a list of strings, got the string {shorten(names)}: put it in a list')
    if not (isinstance(names, Sequence) or getattr(names, 'ndim', 0) == 1):
        raise TypeError(
            f'{what} must be a list of strings, got {shorten(names)} of type {type(names).__name__}: put them in a '
            'list, whose order counts'
        )
    for i, name in enumerate(names):
        if not isinstance(name, str):
            raise TypeError(f'{what} must be strings, got {shorten(name)} of type {type(name).__name__} as number {i}')
        check_text(name, f'number {i} of the {what}')
        if not name.strip():
            raise ValueError(f'{what} must not be blank, but number {i} of {shorten(list(names))} is')
        if _RESERVED.search(name):
            raise ValueError(
                f'{what} must not hold <image> or class tokens such as <c0>, but number {i}, {shorten(name)}, does'
            )
    twice = sorted(name for name, count in Counter(map(str.strip, names)).items() if count > 1)
    if twice:
        raise ValueError(f'{what} must differ, but {shorten(twice)} are listed more than once')


def similar_names(names: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of names that a model can hardly tell apart.

    Args:
        names: names of classes, all different.

    Returns:
        Pairs that differ by case, blanks, hyphens, underscores or a plural in -s, -es or -ies alone, in the order of
        the names; each name with the first one that it resembles.
    """
    groups = defaultdict(list)
    for name in names:
        groups[re.sub(r'[\s_-]+', '', unicodedata.normalize('NFKC', name)).casefold()].append(name)
    pairs = [(group[0], name) for group in groups.values() for name in group[1:]]
    for key, group in groups.items():
        singular = next((form for form in _singulars(key) if form in groups), None)
        if singular is not None:
            pairs += [(groups[singular][0], name) for name in group]
    position = {name: i for i, name in enumerate(names)}
    ordered = {tuple(sorted(pair, key=position.__getitem__)) for pair in pairs}
    return sorted(ordered, key=lambda pair: [position[name] for name in pair])


def warn_of_similar_names(names: Sequence[str]) -> None:
    """Logs a warning, once for a class set, where it has names that a model can hardly tell apart.

    Args:
        names: names of classes, as :func:`check_names` lets them pass.
    """
    _warn_once(tuple(names))


@lru_cache(maxsize=256)
def _warn_once(names: tuple[str, ...]) -> None:
    pairs = similar_names(names)
    if pairs:
        shown = ', '.join(f'{shorten(first, 40)} and {shorten(second, 40)}' for first, second in pairs[:5])
        more = f' and {len(pairs) - 5} more pairs' if len(pairs) > 5 else ''
        print_log(
            f'class names that the model can hardly tell apart: {shown}{more}. Rename or merge them',
            logger='current',
            level=logging.WARNING,
        )


def _singulars(word: str) -> list[str]:
    """What a word may be the plural of."""
    return [
        word.removesuffix(ending) + single
        for ending, single in (('s', ''), ('es', ''), ('ies', 'y'))
        if word.endswith(ending) and len(word) > len(ending) + 1
    ]
