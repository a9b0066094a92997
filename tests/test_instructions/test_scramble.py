"""Scrambled templates keep what they ask for."""

import numpy as np
import pytest

from visionllm_mm.instructions import (
    TASK_TEMPLATES,
    Vocabulary,
    build_instruction,
    build_text_instruction,
    parse_instruction,
    point_format,
    resample_format,
    scramble_instruction,
    separate_notation,
)

VOCABULARY = Vocabulary(64, 64, 24)
POINTS = ['top', 'left']


def _texts(task):
    """All templates of a task, filled in."""
    for template in TASK_TEMPLATES[task]:
        if '<class>' in template:
            points = POINTS if '<points>' in template else None
            yield build_instruction(template, ['red (big) star', 'a {b}'], point_format(2), VOCABULARY, points)
        else:
            yield build_text_instruction(template, 'Is it red?' if '<question>' in template else None)


@pytest.mark.parametrize('task', TASK_TEMPLATES)
def test_sets_formats_and_image_stay(task):
    rng = np.random.RandomState(0)
    changed = 0
    for text in _texts(task):
        before = parse_instruction(text, VOCABULARY)
        scrambled = scramble_instruction(text, ['wug', 'blick'], rng)
        after = parse_instruction(scrambled, VOCABULARY, before.output_format)
        assert (after.class_names, after.class_indices, after.output_format, after.point_names) == (
            before.class_names,
            before.class_indices,
            before.output_format,
            before.point_names,
        )
        if before.class_names:
            assert parse_instruction(scrambled, VOCABULARY).output_format == before.output_format
        changed += scrambled != text
    assert changed == len(TASK_TEMPLATES[task])


def test_another_number_of_points_can_be_asked_for():
    rng = np.random.RandomState(0)
    for num_points in (1, 2, 3, 24):
        for template, points in ((TASK_TEMPLATES['segmentation'][0], None), (TASK_TEMPLATES['keypoints'][0], POINTS)):
            text = build_instruction(template, ['(c, a)'], point_format(2), VOCABULARY, points)
            text = resample_format(text, num_points, ['wug', 'blick'], rng)
            read = parse_instruction(text, VOCABULARY, scrambled=True)
            assert read.num_points == num_points and read.class_names == ('(c, a)',)
            assert len(read.point_names) == (num_points if points else 0)
    assert resample_format('Describe <image>.', 3, ['wug'], rng) == 'Describe <image>.'


@pytest.mark.parametrize('task', TASK_TEMPLATES)
def test_separated_notation_asks_for_the_same_and_looks_like_a_scrambled_text(task):
    for text in _texts(task):
        apart = separate_notation(text)
        before, after = parse_instruction(text, VOCABULARY), parse_instruction(apart, VOCABULARY)
        assert after.class_names == before.class_names and after.output_format == before.output_format
        assert ''.join(apart.split()) == ''.join(text.split())
        scrambled = scramble_instruction(text, ['wug'], np.random.RandomState(0))
        assert separate_notation(scrambled) == scrambled


def test_all_words_or_none_can_be_replaced():
    rng = np.random.RandomState(0)
    text = 'See <image> now'
    assert scramble_instruction(text, ['wug'], rng, keep_prob=1.0).replace('wug ', '').replace(' wug', '') == text
    assert not {'See', 'now'} & set(scramble_instruction(text, ['wug'], rng, keep_prob=0.0).split())
