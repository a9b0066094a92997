"""Writing instructions and drawing class sets."""

import random
from collections import Counter

import numpy as np
import pytest

from visionllm_mm.instructions import (
    Vocabulary,
    build_instruction,
    build_text_instruction,
    parse_instruction,
    point_format,
    sample_class_set,
    write_class_set,
    write_format,
)

VOCABULARY = Vocabulary(num_classes=8, coord_range=64, max_points=24)
TEMPLATE = '<image> <class> <format> <range>'


def test_class_set_and_format_are_written_as_the_paper_has_them():
    assert write_class_set(['circle', 'red star']) == '{"circle": <c0>, "red star": <c1>}'
    assert write_format(point_format(2)) == '(c, x1, y1, x2, y2)'
    assert build_instruction('<image> <class> <format> <range>', ['a'], point_format(1), VOCABULARY) == (
        '<image> {"a": <c0>} (c, x1, y1) 64'
    )


def test_classes_named_like_placeholders_stay_as_they_are():
    text = build_instruction(
        '<image> <class> <format> <range>', ['<range>', '<format>', '<class>'], point_format(2), VOCABULARY
    )
    assert text == '<image> {"<range>": <c0>, "<format>": <c1>, "<class>": <c2>} (c, x1, y1, x2, y2) 64'


@pytest.mark.parametrize('placeholder', ['<image>', '<class>', '<range>', '<format>'])
@pytest.mark.parametrize('count', [0, 2])
def test_placeholders_must_stand_once(placeholder, count):
    template = '<image> <class> <range> <format>'.replace(placeholder, placeholder * count)
    with pytest.raises(ValueError, match=f'must hold {placeholder} once, not {count} times'):
        build_instruction(template, ['a'], point_format(2), VOCABULARY)


def test_bad_class_sets_are_refused_when_writing():
    with pytest.raises(ValueError, match='empty'):
        build_instruction('<image> <class> <range> <format>', [], point_format(2), VOCABULARY)
    with pytest.raises(ValueError, match='9 classes, .* only 8 class tokens: ask for fewer'):
        build_instruction('<image> <class> <range> <format>', [f'n{i}' for i in range(9)], point_format(2), VOCABULARY)


@pytest.mark.parametrize(
    'output_format',
    [(), ('<cls>',), ('<cls>', '<x1>'), ('<cls>', '<y1>', '<x1>'), ('<bos>',), ('<cls>', '<x2>', '<y2>'), 'c', None, 5],
)
def test_formats_that_can_not_be_read_back_are_refused(output_format):
    with pytest.raises(ValueError, match='an output format is a class and points, such as .*, got'):
        build_instruction(TEMPLATE, ['a'], output_format, VOCABULARY)


def test_formats_of_too_many_points_are_refused():
    with pytest.raises(ValueError, match="'<x25>' is not in the vocabulary"):
        build_instruction(TEMPLATE, ['a'], point_format(25), VOCABULARY)


@pytest.mark.parametrize(
    'names, error, message',
    [
        ([None, 'star'], TypeError, 'point names must be strings, got None .* as number 0'),
        (['star', 'star'], ValueError, 'point names must differ'),
        (['', 'star'], ValueError, 'point names must not be blank'),
        (['<c0>', 'star'], ValueError, 'point names must not hold'),
        ({'star', 'ring'}, TypeError, 'whose order counts'),
        (['star'], ValueError, r'has 2 points, but 1 names are given'),
        ([], ValueError, r'has 2 points, but 0 names are given'),
    ],
)
def test_bad_point_names_are_refused_when_writing(names, error, message):
    with pytest.raises(error, match=message):
        build_instruction(f'{TEMPLATE} <points>', ['a'], point_format(2), VOCABULARY, names)


@pytest.mark.parametrize(
    'words, message',
    [
        ('range 8', 'words of the template .* are read as classes .* range 8, .*: take such notation out'),
        ('["a", "b"]', r"are read as .* point names \('a', 'b'\)"),
        ('(c, x1, y1)', 'needs one output format .* has 2'),
        ('{"b": <c0>}', 'needs one category set .* has 2'),
        ('<c1>', '<c1> is mentioned, but not in the category set'),
        ('<c00>', 'write <c0>'),
    ],
)
def test_templates_with_notation_of_their_own_are_refused(words, message):
    with pytest.raises(ValueError, match=message):
        build_instruction(f'{TEMPLATE} {words}', ['a'], point_format(2), VOCABULARY)


def test_arrays_are_written_as_lists_are():
    names, points = np.array(['star', 'ring']), np.array(['top', 'low'])
    text = build_instruction(f'{TEMPLATE} <points>', names, point_format(2), VOCABULARY, points)
    assert text == build_instruction(
        f'{TEMPLATE} <points>', ['star', 'ring'], point_format(2), VOCABULARY, ['top', 'low']
    )


@pytest.mark.parametrize(
    'question, error, message',
    [
        ('Where is <c0>?', ValueError, 'notation that asks for objects'),
        ('What is (c, x1, y1)?', ValueError, 'notation that asks for objects'),
        ('Is \ud800 there?', ValueError, 'half of a character'),
        (' ', ValueError, 'the question is empty'),
        (7, TypeError, 'the question must be a string, got 7'),
    ],
)
def test_bad_questions_are_refused_when_writing(question, error, message):
    with pytest.raises(error, match=message):
        build_text_instruction('<question> <image>', question)


@pytest.mark.parametrize('seed', range(300))
def test_what_is_written_is_read_the_same_or_refused_with_a_reason(seed):
    """Random names, point names, formats and words of templates."""
    rng = random.Random(seed)
    parts = [
        *'ab1 {}(),:"\'\\<>/[]\n\t',
        *'ß星\ud800',
        'range 9',
        '(c, x1, y1)',
        '<c1>',
        '<c',
        '": <',
        '["a"]',
        'null',
        '<image>',
        '?',
    ]
    weights = [1] * len(parts) if seed % 3 else [1] * 20 + [0] * (len(parts) - 20)

    def words(most):
        return ''.join(rng.choices(parts, weights, k=rng.randint(0, most)))

    names = [f'n{i}{words(4)}' if rng.random() < 0.9 else words(2) for i in range(rng.randint(0, 4))]
    num_points = rng.choice([1, 2, 3, 24, 25])
    points = rng.choice([None, [f'p{i}{words(3)}' for i in range(num_points)]])
    template = TEMPLATE + (words(6) if rng.random() < 0.5 else '') + (' <points>' if points else '')
    try:
        text = build_instruction(template, names, point_format(num_points), VOCABULARY, points)
    except (ValueError, TypeError) as error:
        assert type(error) in (ValueError, TypeError) and 20 < len(str(error)) < 500  # none of a library's own
    else:
        read = parse_instruction(text, VOCABULARY)
        assert (list(read.class_names), read.class_indices) == (names, tuple(range(len(names))))
        assert (read.output_format, read.point_names) == (point_format(num_points), tuple(points or ()))
        assert read.coord_range == VOCABULARY.coord_range and not read.asks_for_text


def _samples(count=2000, seed=0, **kwargs):
    rng = np.random.RandomState(seed)
    return [sample_class_set(rng=rng, **kwargs) for _ in range(count)]


def test_every_class_may_stand_anywhere():
    first = Counter(sampled[0] for sampled in _samples(num_classes=5, present=[2], subset_prob=0.0, max_classes=8))
    assert all(300 < first[k] < 500 for k in range(5))


def test_subsets_have_every_size_alike_whatever_is_shown():
    sampled = _samples(num_classes=5, present=[2], subset_prob=1.0, max_classes=4)
    sizes = Counter(map(len, sampled))
    assert set(sizes) == {1, 2, 3, 4} and all(400 < sizes[k] < 600 for k in sizes)
    held = Counter(k for chosen in sampled for k in chosen)
    assert max(held.values()) - min(held.values()) < 200


def test_subset_probability_is_met():
    sampled = _samples(num_classes=6, present=[], subset_prob=0.3, max_classes=6)
    # One subset in six is the whole set.
    assert 0.2 < np.mean([len(chosen) < 6 for chosen in sampled]) < 0.3


def test_shown_classes_come_first_where_not_all_fit():
    for chosen in _samples(200, num_classes=50, present=[7, 7, 42], subset_prob=0.0, max_classes=5):
        assert {7, 42} <= set(chosen) and len(set(chosen)) == len(chosen) == 5
    held = Counter(
        k for chosen in _samples(num_classes=50, present=range(10), subset_prob=0.0, max_classes=5) for k in chosen
    )
    assert set(held) == set(range(10)) and all(800 < count < 1200 for count in held.values())


@pytest.mark.parametrize('subset_prob', [0.0, 1.0])
def test_one_class_is_always_sampled(subset_prob):
    assert _samples(20, num_classes=1, present=[], subset_prob=subset_prob, max_classes=8) == [[0]] * 20


def test_same_seed_same_sets():
    settings = dict(num_classes=9, present=[1], subset_prob=0.5, max_classes=8)
    assert _samples(50, **settings) == _samples(50, **settings) != _samples(50, seed=1, **settings)
    assert all(type(k) is int for chosen in _samples(50, **settings) for k in chosen)
