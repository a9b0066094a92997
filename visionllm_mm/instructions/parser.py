"""Reads an instruction by rules: its category set, output format and range.

The rules read any text, not only filled-in templates. The text states the set as ``{"name": <c0>, ...}`` and the format
as ``(c, x1, y1, ...)``, or it states neither and asks for text.
"""

import json
import re
from dataclasses import dataclass
from functools import lru_cache

from .builder import check_class_names
from .vocabulary import IMAGE_PLACEHOLDER, TEXT_START, Vocabulary, point_format

_ENTRY = r'("(?:[^"\\]|\\.)*")\s*:\s*(<c\d+>)'
_CLASS_SET = re.compile(r'\{\s*' + _ENTRY + r'(?:\s*,\s*' + _ENTRY + r')*\s*\}')
FORMAT = re.compile(r'\(\s*c((?:\s*,\s*(?:[xy]\d+|\.\.\.|…))+)\s*\)', re.IGNORECASE)
_ASKS_FOR_TEXT = re.compile(
    r'[?？؟]|\b(answer|captions?|captioning|describe|description|explain|list|name|reply|respond|say|sentences?|summari[sz]e|'
    r'tell|words?|write)\b',
    re.IGNORECASE,
)
POINT_NAMES = re.compile(r'\[\s*"(?:[^"\\]|\\.)*"(?:\s*,\s*"(?:[^"\\]|\\.)*")*\s*\]')
_MAX_WORDS = re.compile(r'\bat most (\d+) words\b', re.IGNORECASE)
_RANGE = re.compile(r'\brange\b[^\d<{(.;?!]{0,12}(\d+)', re.IGNORECASE)


@dataclass(frozen=True)
class Instruction:
    """An instruction and what it asks for.

    Attributes:
        text: as written, ``<image>`` and ``<ck>`` included.
        class_names: the category set; empty where the text states none, as most instructions that ask for text.
        class_indices: k of the class token ``<ck>`` of each name.
        output_format: tokens to predict for every object, or ``('<bos>',)``: text is generated.
        coord_range: range of the location tokens that the text states (default: the vocabulary's). Offsets are
            decoded in the vocabulary's own bins, then scaled to this range.
        point_names: names of the points, written as ``["center", "top"]``; empty where they have none.
        max_words: the largest number of words of a generated text, stated as "at most 12 words"; None: not stated.
    """

    text: str
    class_names: tuple[str, ...]
    class_indices: tuple[int, ...]
    output_format: tuple[str, ...]
    coord_range: int
    point_names: tuple[str, ...] = ()
    max_words: int | None = None

    @property
    def asks_for_text(self) -> bool:
        return self.output_format == (TEXT_START,)

    @property
    def num_points(self) -> int:
        return (len(self.output_format) - 1) // 2

    @property
    def asks_for_polygons(self) -> bool:
        """Whether the points enclose the object."""
        return self.num_points >= 3 and not self.point_names

    @property
    def format_text(self) -> str:
        return ' '.join(self.output_format)

    @property
    def language(self) -> str:
        """The text without added tokens, for the text encoder, which has none."""
        return re.sub(r'<image>|:?\s*<c\d+>', '', self.text)


@lru_cache(maxsize=4096)
def parse_instruction(text: str, vocabulary: Vocabulary, output_format: tuple[str, ...] | None = None) -> Instruction:
    """Parses an instruction.

    Args:
        text: the instruction.
        vocabulary: the added tokens.
        output_format: the format where it is already known; None: the text states it.

    Raises:
        ValueError: when ``<image>`` is missing or repeated; when the text states no category set, no output format,
            or two different ones; when a class name is no JSON string; when a class token is used twice, is not in
            the vocabulary, or is mentioned and not in the set; when the points are not numbered x1, y1, x2, y2, ...;
            when there are not as many names as points; when the range is larger than the vocabulary's; when it states
            two numbers of words, or zero words.
    """
    count = text.count(IMAGE_PLACEHOLDER)
    if count != 1:
        raise ValueError(
            f'an instruction needs {IMAGE_PLACEHOLDER} exactly once to state where the image goes, '
            f'this one has it {count} times: {text!r}'
        )
    asks_for_text = output_format == (TEXT_START,) or (output_format is None and _ASKS_FOR_TEXT.search(text))
    if asks_for_text and not re.search(r'<c\d+>', text) and not FORMAT.search(text):
        return Instruction(
            text=text,
            class_names=(),
            class_indices=(),
            output_format=(TEXT_START,),
            coord_range=vocabulary.coord_range,
            max_words=_parse_max_words(text),
        )
    names, indices = _parse_class_set(text, vocabulary)
    if output_format == (TEXT_START,):
        return Instruction(
            text=text,
            class_names=names,
            class_indices=indices,
            output_format=output_format,
            coord_range=vocabulary.coord_range,
            max_words=_parse_max_words(text),
        )
    rest = _CLASS_SET.sub('', text)  # a class or a point may have the name "range 9000"
    unlisted = set(re.findall(r'<c\d+>', rest)) - {f'<c{index}>' for index in indices}
    if unlisted:
        raise ValueError(f'{", ".join(sorted(unlisted))} is mentioned, but not in the category set: {text!r}')
    with_point_names, rest = rest, POINT_NAMES.sub('', rest)
    output_format = output_format or _parse_format(rest, vocabulary, text)
    return Instruction(
        text=text,
        class_names=names,
        class_indices=indices,
        output_format=output_format,
        coord_range=_parse_range(rest, vocabulary, text),
        point_names=_parse_point_names(with_point_names, output_format),
    )


def states_format(text: str) -> bool:
    """Whether a text holds an output format or a list of point names in this notation, valid or not."""
    rest = _CLASS_SET.sub('', text)
    return bool(FORMAT.search(rest) or POINT_NAMES.search(rest))


def _parse_class_set(text: str, vocabulary: Vocabulary) -> tuple[tuple[str, ...], tuple[int, ...]]:
    sets = list(_CLASS_SET.finditer(text))
    if len(sets) != 1:
        raise ValueError(
            'an instruction needs one category set such as {"circle": <c0>, "red star": <c1>}, '
            f'this one has {len(sets)}: {text!r}'
        )
    entries = re.findall(_ENTRY, sets[0][0])
    try:
        names = tuple(json.loads(name) for name, _ in entries)
    except json.JSONDecodeError as error:
        raise ValueError(
            f'class names must be written as JSON strings, with \\\\ for a backslash: {error.msg} in {error.doc}'
        ) from error
    check_class_names(names, vocabulary.num_classes)
    indices = tuple(vocabulary.token_id(token) for _, token in entries)
    if len(set(indices)) < len(indices):
        raise ValueError(f'every class needs a class token of its own, but one is used twice in {sets[0][0]}')
    return names, indices


def _parse_format(rest: str, vocabulary: Vocabulary, text: str) -> tuple[str, ...]:
    formats = {
        tuple(_expand(re.sub(r'\s', '', match[1].lower()).replace('…', '...').strip(',').split(','), vocabulary))
        for match in FORMAT.finditer(rest)
    }
    if len(formats) != 1:
        raise ValueError(
            f'an instruction needs one output format such as (c, x1, y1, x2, y2), this one has {len(formats)}: {text!r}'
        )
    points = formats.pop()
    output_format = ('<cls>', *(f'<{point}>' for point in points))
    vocabulary.format_ids(output_format)
    if output_format != point_format(len(points) // 2 or 1):
        raise ValueError(f'points must be numbered x1, y1, x2, y2, ..., got ({", ".join(points)})')
    return output_format


def _expand(points: list[str], vocabulary: Vocabulary) -> list[str]:
    """``x1, y1, ..., x8, y8`` written out."""
    for i in [i for i, point in enumerate(points) if point == '...'][::-1]:
        before, after = points[i - 1 : i], points[i + 1 : i + 2]
        if not before or not after or not before[0].startswith('y') or not after[0].startswith('x'):
            raise ValueError(
                f'"..." must stand between a y and an x, as in (c, x1, y1, ..., x8, y8), got ({", ".join(points)})'
            )
        vocabulary.token_id(f'<{after[0]}>')
        left_out = range(int(before[0][1:]) + 1, int(after[0][1:]))
        points[i : i + 1] = [f'{axis}{k}' for k in left_out for axis in 'xy']
    return points


def _parse_point_names(text: str, output_format: tuple[str, ...]) -> tuple[str, ...]:
    lists = POINT_NAMES.findall(text)
    if not lists:
        return ()
    names = tuple(json.loads(lists[0]))
    if len(lists) > 1 or 2 * len(names) + 1 != len(output_format):
        raise ValueError(
            f'the output format has {(len(output_format) - 1) // 2} points, but the instruction names '
            f'{" and ".join(lists)}: one list with one name per point is needed'
        )
    return names


def _parse_max_words(text: str) -> int | None:
    stated = {int(count) for count in _MAX_WORDS.findall(text)}
    if len(stated) > 1 or 0 in stated:
        raise ValueError(f'the instruction must state one positive number of words, got {sorted(stated)}: {text!r}')
    return stated.pop() if stated else None


def _parse_range(rest: str, vocabulary: Vocabulary, text: str) -> int:
    stated = {int(match[1]) for match in _RANGE.finditer(rest)} or {vocabulary.coord_range}
    if len(stated) > 1:
        raise ValueError(f'the instruction states more than one range, {sorted(stated)}: {text!r}')
    coord_range = stated.pop()
    if not 1 <= coord_range <= vocabulary.coord_range:
        raise ValueError(
            f'the instruction asks for the range {coord_range}, but the location tokens of this '
            f'vocabulary span 1 .. {vocabulary.coord_range}'
        )
    return coord_range
