"""Names and texts that instructions are made of."""

import time

import numpy as np
import pytest

from visionllm_mm.instructions import (
    check_class_names,
    check_names,
    check_text,
    shorten,
    similar_names,
    warn_of_similar_names,
)
from visionllm_mm.instructions import names as module


@pytest.mark.parametrize('name', ['\t', '\n ', '', '  '])
def test_blank_names_are_named_by_their_place(name):
    with pytest.raises(ValueError, match='number 1 of'):
        check_class_names(['a', name], 8)


@pytest.mark.parametrize('name', ['c0', '<c>', '<p3>', '<cls>', 'image', '<C1>', 'Größe', '星', '🌟'])
def test_harmless_names_pass(name):
    check_class_names([name, 'other'], 8)


def test_as_many_classes_as_tokens_pass():
    check_class_names([f'n{i}' for i in range(8)], 8)
    check_class_names(('a', 'b'), 2)
    check_class_names([f'n{i}' for i in range(9)], None)
    with pytest.raises(ValueError, match='9 classes, but .* only 8 class tokens'):
        check_class_names([f'n{i}' for i in range(9)], 8)


def test_arrays_are_lists_of_names():
    check_class_names(np.array(['star', 'ring']), 2)
    check_class_names(np.array(['star', 'ring'], dtype=object), 2)
    with pytest.raises(ValueError, match='class set is empty'):
        check_class_names(np.array([]), 2)


@pytest.mark.parametrize(
    'names, message',
    [
        ({'star', 'ring'}, 'of type set: put them in a list, whose order counts'),
        (frozenset(['star']), 'of type frozenset: put them in a list'),
        ({'star': 0}, 'of type dict: put them in a list'),
        ((name for name in ['star']), 'of type generator: put them in a list'),
        (None, 'got None of type NoneType'),
        (np.array([['star']]), 'of type ndarray'),
        ('star', "got the string 'star': put it in a list"),
        (['star', None], 'must be strings, got None of type NoneType as number 1'),
        (['star', b'ring'], "got b'ring' of type bytes as number 1"),
        (np.array([1.5]), 'must be strings, got .* as number 0'),
        ([['star']], r"got \['star'\] of type list as number 0"),
    ],
)
def test_what_is_no_list_of_strings_is_named(names, message):
    with pytest.raises(TypeError, match=f'class names .*{message}'):
        check_class_names(names, 8)


@pytest.mark.parametrize('name', ['\ud83d', 'a\udc00b', '\udfff' * 3])
def test_halves_of_characters_are_refused(name):
    with pytest.raises(ValueError, match='number 1 of the point names holds half of a character'):
        check_names(['a', name], 'point names')
    with pytest.raises(ValueError, match=r"the question holds half of a character, '\\ud83d' at position 3"):
        check_text('Is \ud83d there?', 'the question')
    check_text('Is \N{GLOWING STAR} there?', 'the question')


def test_messages_show_the_beginning_of_long_values():
    assert shorten('a' * 78) == repr('a' * 78)
    assert shorten('a' * 60_000) == "'" + 'a' * 75 + "...'" and len(shorten('a' * 60_000)) == 80
    assert shorten([f'n{i}' for i in range(5000)]).endswith('...]') and shorten(['a']) == "['a']"
    with pytest.raises(ValueError) as error:
        check_class_names(['a' * 5000, *(f'n{i}' for i in range(5000)), ' '], None)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize(
    'names, pairs',
    [
        (['star', 'Star', 'ring'], [('star', 'Star')]),
        (['red car', 'red-car', 'Red_Cars'], [('red car', 'red-car'), ('red car', 'Red_Cars')]),
        (['boxes', 'berry', 'box', 'berries'], [('boxes', 'box'), ('berry', 'berries')]),
        (['fire hydrant', 'firehydrant'], [('fire hydrant', 'firehydrant')]),
        (['bus', 'buses', 'bush'], [('bus', 'buses')]),
        (['é', 'e\u0301'], [('é', 'e\u0301')]),
        (['oak', 'elm', 'oak tree', 'class', 'glass', 'red star', 'star'], []),
        ([], []),
    ],
)
def test_names_that_differ_by_little_are_found(names, pairs):
    assert similar_names(names) == pairs


def test_similar_names_are_logged_once_for_a_set(monkeypatch):
    lines = []
    monkeypatch.setattr(module, 'print_log', lambda line, **kwargs: lines.append(line))
    for _ in range(2):
        warn_of_similar_names(['a wug', 'A-Wugs', 'blick'])
    assert len(lines) == 1 and "tell apart: 'a wug' and 'A-Wugs'. Rename or merge them" in lines[0]
    warn_of_similar_names(['a wug', 'blick'])
    assert len(lines) == 1
    warn_of_similar_names([f'{form} {i}' for i in range(50) for form in ('wug', 'WUG')])
    assert 'and 45 more pairs' in lines[1] and len(lines[1]) < 300


def test_many_names_are_compared_quickly():
    names = [f'name {i} of a thing' for i in range(5000)]
    begin = time.perf_counter()
    assert similar_names(names) == []
    assert len(similar_names([*names[:2500], *(f'{name}s'.upper() for name in names[:2500])])) == 2500
    assert time.perf_counter() - begin < 2
