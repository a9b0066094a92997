"""Reads an instruction by rules: its category set, output format and range.

The rules read any text, not only filled-in templates. The text states the set as ``{"name": <c0>, ...}`` and the format
as ``(c, x1, y1, ...)``, or it states neither and asks for text.
"""

import json
import re
from dataclasses import dataclass
from functools import lru_cache

from .names import check_class_names, check_names, check_text, shorten
from .vocabulary import IMAGE_PLACEHOLDER, TEXT_START, Vocabulary, point_format

CLASS_TOKEN = re.compile(r'<c\d+>')
_STRING = r'"(?:[^"\\]|\\.)*"'
_ENTRY = rf'({_STRING})\s*:\s*({CLASS_TOKEN.pattern})'
_CLASS_SET = re.compile(r'\{\s*' + _ENTRY + r'(?:\s*,\s*' + _ENTRY + r')*\s*\}')
FORMAT = re.compile(r'\(\s*c((?:\s*,\s*(?:[xy]\d+|\.\.\.|…))+)\s*\)', re.IGNORECASE)
_ASKS_FOR_TEXT = re.compile(
    r'[?？؟]|\b(answer|captions?|captioning|describe|description|explain|list|name|reply|respond|say|sentences?|summari[sz]e|'
    r'tell|words?|write)\b',
    re.IGNORECASE,
)
POINT_NAMES = re.compile(rf'\[\s*{_STRING}(?:\s*,\s*{_STRING})*\s*\]')
_BRACKETS = re.compile(r'\[[^\[\]]*\]?')
_NO_NAME = re.compile(r'\s*(c|[xy]?[-+±−]?\d[\d.]*|\.\.\.|…)\s*', re.IGNORECASE)
_MAX_WORDS = re.compile(r'\bat most\s+([-+]?\d\S*)\s+words?\b', re.IGNORECASE)
_NUMBER = r'\d[\w%]*(?:(?:\.|/|\^|\*+)\d[\w%]*)*'
_RANGE = re.compile(
    r'\brange\b(?P<between>(?:[^\d<{(.;?!]|<(?!\w)){0,12}?\(?\s*)'
    rf'(?P<low>(?:(?<=[\s\[(:=])[-+±−])?{_NUMBER})'
    rf'(?:(?P<to>\s*(?:(?:up\s+)?to|until|through|and|\.\.+|…|[-–—,;:])\s*)(?P<high>[-+−]?{_NUMBER}))?',
    re.IGNORECASE,
)


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
        return re.sub(rf'<image>|:?\s*{CLASS_TOKEN.pattern}', '', self.text)


@lru_cache(maxsize=4096)
def parse_instruction(
    text: str, vocabulary: Vocabulary, output_format: tuple[str, ...] | None = None, *, scrambled: bool = False
) -> Instruction:
    """Parses an instruction.

    Args:
        text: the instruction.
        vocabulary: the added tokens.
        output_format: the format where it is already known; None: the text states it.
        scrambled: whether names of points may repeat, as :func:`resample_format` writes them.

    Raises:
        TypeError: when the text is not a string.
        ValueError: when ``<image>`` is missing or repeated; when the text holds half of a character; when it states no
            category set, no output format, or two different ones; when a name of a class or point is no JSON string;
            when a class token is used twice, is not in the vocabulary or spelled otherwise (``<c00>``), or is mentioned
            and not in the set; when the points are not numbered x1, y1, x2, y2, ...; when there are not as many names
            as points; when the range is no whole number, or larger than the vocabulary's; when it states two numbers of
            words, or none above zero.
    """
    check_text(text, 'the instruction')
    count = text.count(IMAGE_PLACEHOLDER)
    if count != 1:
        raise ValueError(
            f'an instruction needs {IMAGE_PLACEHOLDER} exactly once to state where the image goes, '
            f'this one has it {count} times: {shorten(text)}'
        )
    asks_for_text = output_format == (TEXT_START,) or (output_format is None and _ASKS_FOR_TEXT.search(text))
    mentioned = dict.fromkeys(CLASS_TOKEN.findall(text))
    if asks_for_text and not mentioned and not FORMAT.search(text):
        return _text_instruction(text, (), (), vocabulary)
    names, indices = _parse_class_set(text, vocabulary)
    unlisted = [token for token in mentioned if vocabulary.token_id(token) not in indices]
    if unlisted:
        raise ValueError(f'{_cut(", ".join(unlisted))} is mentioned, but not in the category set: {shorten(text)}')
    if output_format == (TEXT_START,):
        return _text_instruction(text, names, indices, vocabulary)
    rest = _CLASS_SET.sub('', text)  # a class or a point may have the name "range 9000"
    with_point_names, rest = rest, POINT_NAMES.sub('', rest)
    output_format = output_format or _parse_format(rest, vocabulary, text)
    point_names = _parse_point_names(with_point_names, output_format)
    if not scrambled:
        check_names(point_names, 'point names')
    return Instruction(
        text=text,
        class_names=names,
        class_indices=indices,
        output_format=output_format,
        coord_range=_parse_range(rest, vocabulary),
        point_names=point_names,
    )


def _text_instruction(
    text: str, names: tuple[str, ...], indices: tuple[int, ...], vocabulary: Vocabulary
) -> Instruction:
    return Instruction(
        text=text,
        class_names=names,
        class_indices=indices,
        output_format=(TEXT_START,),
        coord_range=vocabulary.coord_range,
        max_words=_parse_max_words(text),
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
            f'this one has {len(sets)}: {shorten(text)}'
        )
    entries = re.findall(_ENTRY, sets[0][0])
    names = tuple(_read_string(name, 'class names') for name, _ in entries)
    check_class_names(names, vocabulary.num_classes)
    indices = tuple(vocabulary.token_id(token) for _, token in entries)
    if len(set(indices)) < len(indices):
        raise ValueError(f'every class needs a class token of its own, but one is used twice in {_cut(sets[0][0])}')
    return names, indices


def _read_string(written: str, what: str) -> str:
    try:
        return json.loads(written)
    except json.JSONDecodeError as error:
        raise ValueError(
            f'{what} must be written as JSON strings, with \\\\ for a backslash: {error.msg} in {_cut(written)}'
        ) from error


def _parse_format(rest: str, vocabulary: Vocabulary, text: str) -> tuple[str, ...]:
    formats = {
        tuple(_expand(re.sub(r'\s', '', match[1].lower()).replace('…', '...').strip(',').split(','), vocabulary))
        for match in FORMAT.finditer(rest)
    }
    if len(formats) != 1:
        raise ValueError(
            f'an instruction needs one output format such as (c, x1, y1, x2, y2), this one has {len(formats)}: '
            f'{shorten(text)}'
        )
    points = formats.pop()
    output_format = ('<cls>', *(f'<{point}>' for point in points))
    vocabulary.format_ids(output_format)
    if output_format != point_format(len(points) // 2 or 1):
        raise ValueError(f'points must be numbered x1, y1, x2, y2, ..., got ({_cut(", ".join(points))})')
    return output_format


def _expand(points: list[str], vocabulary: Vocabulary) -> list[str]:
    """``x1, y1, ..., x8, y8`` written out."""
    for i in [i for i, point in enumerate(points) if point == '...'][::-1]:
        before, after = points[i - 1 : i], points[i + 1 : i + 2]
        if not before or not after or not before[0].startswith('y') or not after[0].startswith('x'):
            raise ValueError(
                f'"..." must stand between a y and an x, as in (c, x1, y1, ..., x8, y8), '
                f'got ({_cut(", ".join(points))})'
            )
        for point in (before[0], after[0]):
            vocabulary.token_id(f'<{point}>')
        left_out = range(int(before[0][1:]) + 1, int(after[0][1:]))
        points[i : i + 1] = [f'{axis}{k}' for k in left_out for axis in 'xy']
    return points


def _parse_point_names(text: str, output_format: tuple[str, ...]) -> tuple[str, ...]:
    num_points = (len(output_format) - 1) // 2
    lists = POINT_NAMES.findall(text)
    others = [part for part in _BRACKETS.findall(POINT_NAMES.sub('', text)) if _may_hold_names(part, num_points)]
    if others:
        raise ValueError(
            f'names of points are written as JSON strings, ["top", "left"], got {_cut(others[0])}: write them so, or '
            'take the brackets away'
        )
    if not lists:
        return ()
    names = tuple(_read_string(name, 'point names') for name in re.findall(_STRING, lists[0]))
    if len(lists) > 1 or len(names) != num_points:
        raise ValueError(
            f'the output format has {num_points} points, but the instruction names {_cut(" and ".join(lists))}: '
            'one list with one name per point is needed'
        )
    return names


def _may_hold_names(brackets: str, num_points: int) -> bool:
    """Whether a person may have written names of points in brackets that hold no list of JSON strings."""
    if brackets[1:].lstrip()[:1] in set('"\'`“”„«‘’'):
        return True
    if not brackets.endswith(']'):
        return False
    inner = brackets[1:-1]
    items = inner.split(',')
    words = 1 < len(items) == num_points and not all(map(_NO_NAME.fullmatch, items))
    return words or inner.strip() in ('', 'null') or any(mark in inner for mark in '"“”„«')


def _parse_max_words(text: str) -> int | None:
    stated = set(_MAX_WORDS.findall(text))
    counts = {int(count) if count.isdecimal() and len(count) < 10 else 0 for count in stated}
    if len(counts) > 1 or 0 in counts:
        raise ValueError(
            f'the instruction must state one positive number of words, got {_cut(", ".join(sorted(stated)))}: '
            f'{shorten(text)}'
        )
    return counts.pop() if counts else None


def _parse_range(rest: str, vocabulary: Vocabulary) -> int:
    stated = {_read_range(match) for match in _RANGE.finditer(rest)} or {vocabulary.coord_range}
    if len(stated) > 1:
        raise ValueError(f'the instruction states more than one range, {sorted(stated)}: {shorten(rest)}')
    coord_range = stated.pop()
    if not 1 <= coord_range <= vocabulary.coord_range:
        raise ValueError(
            f'the instruction asks for the range {coord_range}, but the location tokens of this '
            f'vocabulary span 1 .. {vocabulary.coord_range}'
        )
    return coord_range


def _read_range(match: re.Match) -> int:
    """R of "range R", "range [0, R]", "range -R to R"."""
    low, to, high = match['low'], match['to'] or '', match['high']
    opened = match['between'].rstrip()[-1:] in set('[(') or re.search(r'\b(between|from)\b', match['between'], re.I)
    if high and to.strip().lower() in (',', ';', ':', 'and') and not opened:
        # "range 8, 3 stars" goes on, "range 1,000" does not.
        low, high = (f'{low},{high}' if to == ',' else low), None
    values = [_whole_number(number) for number in (low, high) if number]
    if None in values:
        raise ValueError(f'the range must be a whole number, as in "range 64", got {shorten(match[0])}')
    bound = values[-1]
    if bound < 0 or (high and values[0] not in (0, -bound)):
        raise ValueError(
            f'a range is stated as its upper end, "range 64", or from 0 or -64 to 64, got {shorten(match[0])}'
        )
    return bound


def _whole_number(written: str) -> int | None:
    """The value of digits with or without a sign, None of anything else."""
    digits = written.lstrip('+±-−')
    if not digits.isdecimal() or len(digits) > 9:
        return None
    return -int(digits) if written[0] in '-−' else int(digits)


def _cut(written: str) -> str:
    """A part of an instruction as messages show it."""
    return written if len(written) <= 80 and written.isprintable() else shorten(written)[1:-1]
