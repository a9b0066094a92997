"""Reading instructions, written by the builder or by anyone."""

import random
import re

import pytest

from visionllm_mm.instructions import (
    DETECTION_TEMPLATES,
    Vocabulary,
    build_instruction,
    parse_instruction,
    point_format,
)

VOCABULARY = Vocabulary(num_classes=8, coord_range=64, max_points=24)
SET, FORMAT = '{"circle": <c0>, "red star": <c1>}', '(c, x1, y1, x2, y2)'


def _parse(text):
    return parse_instruction(text, VOCABULARY)


@pytest.mark.parametrize('seed', range(40))
def test_whatever_the_names_what_is_written_is_read(seed):
    """Random names of the characters that instructions are made of."""
    rng = random.Random(seed)
    pieces = list('ab1 {}(),:"\\\'<>/\n\tß星') + ['range 9000', '(c, x1, y1)', '<c', '<p3>', '": <', '"}', '{"', '\\"']
    names = sorted({'n' + ''.join(rng.choices(pieces, k=rng.randint(1, 8))) for _ in range(rng.randint(1, 8))})
    num_points = rng.choice([1, 2, 8, 24])
    text = build_instruction(rng.choice(DETECTION_TEMPLATES), names, point_format(num_points), VOCABULARY)
    instruction = _parse(text)
    assert list(instruction.class_names) == names and instruction.class_indices == tuple(range(len(names)))
    assert instruction.num_points == num_points and instruction.coord_range == 64
    assert instruction.output_format == point_format(num_points) and instruction.text == text


@pytest.mark.parametrize(
    'text',
    [
        f'<image>{SET}{FORMAT}',
        '<image> {"circle":<c0>,"red star":<c1>} (C,X1,Y1,X2,Y2)',
        '<image> { "circle" : <c0> ,\n "red star" : <c1> } ( c , x1 ,y1, x2, y2 )',
        f'{FORMAT}, that is {FORMAT}, of {SET} in <image> (not (d, x1) or [c, x1]); mind <c1>.',
    ],
)
def test_spacing_case_and_order_are_free(text):
    instruction = _parse(text)
    assert instruction.class_names == ('circle', 'red star') and instruction.class_indices == (0, 1)
    assert instruction.format_text == '<cls> <x1> <y1> <x2> <y2>'


@pytest.mark.parametrize(
    'template, coord_range',
    [
        ('', 64),
        ('range 32', 32),
        ('Range: 32', 32),
        ('the range is 32', 32),
        ('strange 99', 64),
        ('range 1', 1),
        ('range 32 and again range 32', 32),
        ('range-32', 32),
        ('range [0, 32]', 32),
        ('range [0,32]', 32),
        ('range (-32, 32)', 32),
        ('range -32 to 32', 32),
        ('range 0..32', 32),
        ('range 0-32', 32),
        ('range from 0 up to 32', 32),
        ('range between -32 and 32', 32),
        ('range ±32', 32),
        ('range +32', 32),
        ('range <= 32', 32),
        ('**range 32**', 32),
        ('range ٣٢', 32),
        ('range 32. 5 stars', 32),
        ('range 32, 5 stars', 32),
        ('range 32 and 5 stars', 32),
        ('range 32: 5 stars', 32),
        ('range 32-bit', 32),
        ('arrange 7 things; range 8', 8),
    ],
)
def test_range_is_the_stated_one_or_the_vocabularys(template, coord_range):
    assert _parse(f'<image> {SET} {FORMAT} {template}').coord_range == coord_range


@pytest.mark.parametrize(
    'written, num_points',
    [
        ('(c, x1, y1, ..., x8, y8)', 8),
        ('(C, X1, Y1, X2, Y2, …, x24, y24)', 24),
        ('(c,x1,y1,...,x2,y2)', 2),
    ],
)
def test_points_may_be_left_out_of_the_format(written, num_points):
    assert _parse(f'<image> {SET} {written}').output_format == point_format(num_points)
    # The same format twice, once in full, is one format.
    full = ', '.join(f'x{i}, y{i}' for i in range(1, num_points + 1))
    assert _parse(f'<image> {SET} {written}, that is (c, {full})').num_points == num_points


def test_points_may_have_names():
    text = f'<image> {SET} (c, x1, y1, x2, y2, x3, y3) are ["top", "range 9000", "\\u0061 \\"b\\""], range 8'
    instruction = _parse(text)
    assert instruction.point_names == ('top', 'range 9000', 'a "b"') and instruction.coord_range == 8
    assert not instruction.asks_for_polygons and _parse(f'<image> {SET} (c, x1, y1, ..., x3, y3)').asks_for_polygons
    for names in ('["top", "low"]', '["a", "b", "c", "d"]', '["a", "b", "c"] or ["d", "e", "f"]'):
        with pytest.raises(ValueError, match='format has 3 points, but the instruction names'):
            _parse(f'<image> {SET} (c, x1, y1, ..., x3, y3) {names}')


@pytest.mark.parametrize(
    'template, message',
    [
        ('range 65', 'asks for the range 65, but .* span 1 .. 64'),
        ('range 0', 'range 0'),
        ('range [0, 0]', 'range 0'),
        ('range -0', 'range 0'),
        ('range [0, 65]', 'asks for the range 65'),
        ('range -64', "upper end, .* got 'range -64'"),
        ('range \u221264', 'upper end'),
        ('range [8, 64]', 'from 0 or -64 to 64, got .range .8, 64'),
        ('range [-8, 64]', 'from 0 or -64 to 64'),
        ('range [64, 0]', 'from 0 or -64 to 64'),
        ('range [0, -64]', 'upper end'),
        ('range 1e1', "must be a whole number, as in .range 64., got 'range 1e1'"),
        ('range 1e-1', 'whole number'),
        ('range 6.5', "got 'range 6.5'"),
        ('range 64.0', 'whole number'),
        ('range [0.0, 1.0]', 'whole number'),
        ('range 1,000', 'whole number'),
        ('range 1_0', 'whole number'),
        ('range 0x40', 'whole number'),
        ('range 2^6', 'whole number'),
        ('range 2**6', 'whole number'),
        ('range 1/2', 'whole number'),
        ('range 50%', 'whole number'),
        ('range 6½', 'whole number'),
        ('range 6²', 'whole number'),
        (f'range {"9" * 5000}', 'whole number, .*[.]{3}'),
        ('range 8, range 16', r'more than one range, \[8, 16\]'),
    ],
)
def test_bad_ranges_are_named(template, message):
    with pytest.raises(ValueError, match=message):
        _parse(f'<image> {SET} {FORMAT} {template}')


@pytest.mark.parametrize(
    'text, message',
    [
        (f'{SET} {FORMAT}', 'exactly once to state where the image goes, .* 0 times'),
        (f'<image> {SET} {FORMAT} <image>', '2 times'),
        (f'<image> {SET}', 'one output format such as .* this one has 0'),
        (f'<image> {SET} {FORMAT} or (c, x1, y1)', 'this one has 2'),
        (f'<image> {FORMAT}', 'one category set such as .* this one has 0'),
        (f'<image> {SET} {SET} {FORMAT}', 'one category set .* this one has 2'),
        (f"<image> {{'circle': <c0>}} {FORMAT}", 'one category set'),
        (f'<image> {{"circle": c0}} {FORMAT}', 'one category set'),
        (f'<image> {{}} {FORMAT}', 'one category set'),
        (f'<image> {{"a": <c0>, "a": <c1>}} {FORMAT}', r"\['a'\] are listed more than once"),
        (f'<image> {{"a": <c0>, " ": <c1>}} {FORMAT}', 'blank'),
        (f'<image> {{"a": <c2>, "b": <c2>}} {FORMAT}', 'used twice'),
        (
            f'<image> {{"a": <c2>}} {FORMAT}, most of all <c2> and <c3>',
            '<c3> is mentioned, but not in the category set',
        ),
        (f'<image> {{"a": <c00>}} {FORMAT}', "'<c00>' is not in the vocabulary: write <c0>"),
        (f'<image> {{"b": <c0>, "a": <c01>}} {FORMAT}', "'<c01>' is not in the vocabulary: write <c1>"),
        (f'<image> {{"a": <c\u0663>}} {FORMAT}', 'write <c3>'),
        (f'<image> {{"a": <c\uff10>}} {FORMAT}', 'write <c0>'),
        (f'<image> {SET} {FORMAT}, most of all <c00>', 'write <c0>'),
        (f'<image> {{"a": <c{"9" * 5000}>}} {FORMAT}', 'not in the vocabulary, which has <c0>'),
        (f'<image> {{"a\\ud800": <c0>}} {FORMAT}', 'class names holds half of a character'),
        (f'<image> {{"a\ud800": <c0>}} {FORMAT}', 'the instruction holds half of a character'),
        ('What is \ud800 in <image>?', 'the instruction holds half of a character'),
        (f'<image> {SET} (c, x01, y1)', 'write <x1>'),
        (f'<image> {SET} (c, x1, y\u0661)', 'write <y1>'),
        (f'<image> {SET} (c, x1, y{"9" * 5000}, ..., x3, y3)', 'not in the vocabulary'),
        (f'<image> {{"a": <c8>}} {FORMAT}', "'<c8>' is not in the vocabulary, which has <c0> .. <c7>"),
        (f'<image> {{"\\u003cc3>": <c0>}} {FORMAT}', 'must not hold'),
        (f'<image> {{"a\\q": <c0>}} {FORMAT}', r'JSON strings.*escape in "a\\q"'),
        (f'<image> {{"a\nb": <c0>}} {FORMAT}', 'JSON strings.*control character'),
        (f'<image> {SET} (c, x1)', r'numbered x1, y1, x2, y2, ..., got \(x1\)'),
        (f'<image> {SET} (c, x1, y1, x2)', r'numbered .* got \(x1, y1, x2\)'),
        (f'<image> {SET} (c, y1, x1)', 'numbered'),
        (f'<image> {SET} (c, x2, y2)', 'numbered'),
        (f'<image> {SET} (c, x1, y1, x1, y1)', 'numbered'),
        (f'<image> {SET} (c, ..., x3, y3)', '"..." must stand between a y and an x'),
        (f'<image> {SET} (c, x1, y1, ...)', '"..." must stand between'),
        (f'<image> {SET} (c, x1, ..., y3)', '"..." must stand between'),
        (f'<image> {SET} (c, x1, y1, ..., x900000000, y900000000)', "'<x900000000>' is not in the vocabulary"),
        (f'<image> {SET} (c, x1, y1, ..., x8, y8) or (c, x1, y1, ..., x9, y9)', 'this one has 2'),
        (f'<image> {SET} (c, x0, y0)', "'<x0>' is not in the vocabulary"),
        (f'<image> {SET} (c, {", ".join(f"x{i}, y{i}" for i in range(1, 26))})', "'<x25>' is not in the vocabulary"),
    ],
)
def test_bad_instructions_say_what_is_wrong(text, message):
    with pytest.raises(ValueError, match=message):
        _parse(text)


def test_nine_classes_are_too_many_for_eight_tokens():
    text = '{' + ', '.join(f'"n{i}": <c{i}>' for i in range(9)) + '}'
    with pytest.raises(ValueError, match='9 classes, but the vocabulary has only 8'):
        _parse(f'<image> {text} {FORMAT}')


def test_language_has_the_words_but_no_token_of_ours():
    instruction = _parse(f'Look at <image> for {SET} as {FORMAT}; <c1> first.')
    assert instruction.language == 'Look at  for {"circle", "red star"} as (c, x1, y1, x2, y2); first.'


def test_parsing_again_gives_the_kept_instruction():
    text = f'<image> {SET} {FORMAT}'
    assert _parse(text) is _parse(text)
    assert parse_instruction(text, Vocabulary(num_classes=4)).coord_range == 512


@pytest.mark.parametrize(
    'names, message',
    [
        ('["\\x", "top"]', r'point names must be written as JSON strings.*escape in "\\x"'),
        ('["a\nb", "top"]', r'point names must be .*control character.* in "a\\nb"'),
        ('["top", "top"]', 'point names must differ'),
        ('["top", " top"]', 'point names must differ'),
        ('["", "top"]', 'point names must not be blank, but number 0'),
        ('["\\ud800", "top"]', 'point names holds half of a character'),
        ('["<c0>", "top"]', 'point names must not hold'),
        ('[null, "top"]', r'written as JSON strings, .* got \[null, "top"\]'),
        ('["top", null]', 'written as JSON strings'),
        ('["top", 7]', 'written as JSON strings'),
        ('["top", ["low"]]', 'written as JSON strings'),
        ('["top", "low",]', 'written as JSON strings'),
        ('["top" "low"]', 'written as JSON strings'),
        ('["top", "low"', 'written as JSON strings'),
        ("['top', 'low']", 'written as JSON strings'),
        ('[“top”, “low”]', 'written as JSON strings'),
        ('[top, low]', r'written as JSON strings, .* got \[top, low\]'),
        ('[null]', 'written as JSON strings'),
        ('[]', 'written as JSON strings'),
    ],
)
def test_bad_point_names_say_what_is_wrong(names, message):
    with pytest.raises(ValueError, match=message):
        _parse(f'Points {names} of {SET} in <image> as {FORMAT}')


@pytest.mark.parametrize('words', ['[c, x1]', '[see above]', '[0, 64]', "[don't]", '[a, b, c]', 'x[1]'])
def test_brackets_of_other_kinds_are_words(words):
    assert not _parse(f'<image> {SET} {FORMAT} {words}').point_names


@pytest.mark.parametrize(
    'limit, max_words',
    [('at most 12 words', 12), ('at most 1 word', 1), ('at most five words', None), ('at most 3 stars', None)],
)
def test_limits_of_words_are_read(limit, max_words):
    assert _parse(f'Describe <image> in {limit}.').max_words == max_words


@pytest.mark.parametrize('number', ['0', '-3', '1e1', '5.5', '1,000', '9' * 5000])
def test_limits_that_are_no_whole_number_are_refused(number):
    with pytest.raises(ValueError, match='must state one positive number of words'):
        _parse(f'Describe <image> in at most {number} words.')


def test_messages_show_the_beginning_of_the_instruction():
    for text in ('Find {"star": <c0>} in <image>.', 'Find {"star": <c0>} in <image>: (c, x1, y1), range 3 or range 4'):
        with pytest.raises(ValueError, match=re.escape(text[:4])):
            _parse(text)
        for long in (text + ' word' * 12_000, text.replace('star', 'star' * 15_000)):
            with pytest.raises(ValueError) as error:
                _parse(long)
            assert len(str(error.value)) < 300


@pytest.mark.parametrize('text', ['这张图片<image>里有什么？', 'ماذا يوجد في <image>؟', 'Что на картинке <image>?'])
def test_questions_in_other_scripts_ask_for_text(text):
    assert _parse(text).asks_for_text
