"""Vocabulary, builder and parser."""

import numpy as np
import pytest

from visionllm_mm.instructions import (
    DETECTION_TEMPLATES,
    Vocabulary,
    build_instruction,
    check_class_names,
    parse_instruction,
    point_format,
    sample_class_set,
)

VOCABULARY = Vocabulary(num_classes=8, coord_range=64, max_points=24)
ODD_NAMES = ['red star', 'a "quoted" one', 'back\\slash', 'comma, brace }', 'Größe 大', 'range 9000', "it's: (c, x1)"]


def _text(names=('circle', 'star'), num_points=2, template=DETECTION_TEMPLATES[0]):
    return build_instruction(template, list(names), point_format(num_points), VOCABULARY)


def test_added_tokens_have_distinct_dense_ids():
    tokens = [f'<c{i}>' for i in range(8)] + ['<none>'] + [f'<p{i}>' for i in range(-64, 65)] + list(point_format(24))
    assert sorted(VOCABULARY.token_id(token) for token in tokens) == list(range(VOCABULARY.size))


def test_offsets_round_trip_within_half_a_bin():
    offsets = np.linspace(-1, 1, 1001)
    decoded = VOCABULARY.decode_offsets(VOCABULARY.encode_offsets(offsets))
    assert np.abs(decoded - offsets).max() <= 0.5 / 64 + 1e-9
    assert VOCABULARY.encode_offsets(np.array([-7.0, 7.0])).tolist() == [0, 128]


def test_class_tokens_come_first():
    assert [VOCABULARY.token_id(f'<c{i}>') for i in range(8)] == list(range(8))


@pytest.mark.parametrize('token', ['<c8>', '<p65>', '<x25>', '<x0>', 'c1', '<z1>'])
def test_unknown_tokens_are_named(token):
    with pytest.raises(ValueError, match='not in the vocabulary'):
        VOCABULARY.token_id(token)


def test_vocabulary_sizes_must_be_positive():
    with pytest.raises(ValueError, match='coord_range must be at least 1'):
        Vocabulary(coord_range=0)


@pytest.mark.parametrize('template', DETECTION_TEMPLATES)
@pytest.mark.parametrize('names', [['circle'], ODD_NAMES])
def test_every_template_round_trips(template, names):
    instruction = parse_instruction(_text(names, 2, template), VOCABULARY)
    assert list(instruction.class_names) == names
    assert instruction.class_indices == tuple(range(len(names)))
    assert instruction.format_text == '<cls> <x1> <y1> <x2> <y2>'
    assert instruction.coord_range == 64
    assert '<' not in instruction.language.replace(str(names), '')


def test_number_of_points_is_read():
    assert parse_instruction(_text(num_points=24), VOCABULARY).num_points == 24


@pytest.mark.parametrize(
    'names, error, message',
    [
        ([], ValueError, 'empty'),
        (['a', ' '], ValueError, 'blank'),
        (['a', 'b', 'a'], ValueError, r"\['a'\] are listed more than once"),
        ([f'n{i}' for i in range(9)], ValueError, '9 classes, but the vocabulary has only 8'),
        (['a <c1>'], ValueError, 'must not hold'),
        (['<image>'], ValueError, 'must not hold'),
        (['a', 3], TypeError, '3 of type int'),
        ('abc', TypeError, 'put it in a list'),
    ],
)
def test_bad_class_sets(names, error, message):
    with pytest.raises(error, match=message):
        check_class_names(names, 8)


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda t: t.replace('<image>', ''), '0 times'),
        (lambda t: t + ' <image>', '2 times'),
        (lambda t: t.replace('(c, x1, y1, x2, y2)', ''), 'one output format'),
        (lambda t: t + ' or (c, x1, y1)', 'this one has 2'),
        (lambda t: t.replace('x2, y2', 'y2, x2'), 'numbered'),
        (lambda t: t.replace('x2, y2', 'x25, y25'), 'not in the vocabulary'),
        (lambda t: t.replace('range 64', 'range 65'), 'asks for the range 65'),
        (lambda t: t.replace('range 64', 'range: 65'), 'asks for the range 65'),
        (lambda t: t.replace('<c1>', '<c0>'), 'used twice'),
        (lambda t: t.replace('<c1>', '<c8>'), 'not in the vocabulary'),
        (lambda t: t.replace('{', '').replace('}', ''), 'one category set'),
    ],
)
def test_bad_instructions(change, message):
    with pytest.raises(ValueError, match=message):
        parse_instruction(change(_text()), VOCABULARY)


def test_numbers_of_the_next_sentence_are_no_range():
    text = 'Keep within range. 3 sets: no, one, {"cat": <c0>} as (c, x1, y1, x2, y2) in <image>'
    assert parse_instruction(text, VOCABULARY).coord_range == 64


def test_words_with_a_class_set_keep_to_their_length():
    text = 'In at most 5 words, which of {"cat": <c0>} does <image> show?'
    assert parse_instruction(text, VOCABULARY, ('<bos>',)).max_words == 5


def test_class_tokens_may_be_any():
    instruction = parse_instruction('{"cat": <c5>, "dog": <c2>} as (c, x1, y1, x2, y2) in <image>', VOCABULARY)
    assert instruction.class_indices == (5, 2)
    assert instruction.coord_range == VOCABULARY.coord_range


def test_template_without_placeholder_is_refused():
    with pytest.raises(ValueError, match='<range> once, not 0 times'):
        _text(template='<image> <class> <format>')


def test_random_class_sets():
    rng = np.random.RandomState(0)
    full = [sample_class_set(6, [1], rng, subset_prob=0.0, max_classes=8) for _ in range(20)]
    assert all(sorted(s) == list(range(6)) for s in full) and len({tuple(s) for s in full}) > 10
    subsets = [sample_class_set(6, [1], rng, subset_prob=1.0, max_classes=4) for _ in range(200)]
    assert {len(s) for s in subsets} == {1, 2, 3, 4} and all(len(set(s)) == len(s) for s in subsets)
    assert any(1 not in s for s in subsets)
    tight = [sample_class_set(100, [7, 42], rng, subset_prob=0.0, max_classes=3) for _ in range(20)]
    assert all({7, 42} <= set(s) and len(s) == 3 for s in tight)
