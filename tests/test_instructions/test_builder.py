"""Writing instructions and drawing class sets."""

from collections import Counter

import numpy as np
import pytest

from visionllm_mm.instructions import (
    Vocabulary,
    build_instruction,
    check_class_names,
    point_format,
    sample_class_set,
    write_class_set,
    write_format,
)

VOCABULARY = Vocabulary(num_classes=8, coord_range=64, max_points=24)


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


@pytest.mark.parametrize('name', ['\t', '\n ', '', '  '])
def test_blank_names_are_named_by_their_place(name):
    with pytest.raises(ValueError, match='number 1 of'):
        check_class_names(['a', name], 8)


@pytest.mark.parametrize('name', ['c0', '<c>', '<p3>', '<cls>', 'image', '<C1>', 'Größe', '星'])
def test_harmless_names_pass(name):
    check_class_names([name, 'other'], 8)


def test_as_many_classes_as_tokens_pass():
    check_class_names([f'n{i}' for i in range(8)], 8)
    check_class_names(('a', 'b'), 2)


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
