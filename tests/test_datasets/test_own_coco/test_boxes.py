"""Boxes: single ones and those of a whole file."""

import numpy as np
import pytest

from visionllm_mm.datasets.own_coco.boxes import (
    are_outside,
    are_relative,
    limit_box,
    other_form,
    overlap,
    read_box,
)
from visionllm_mm.datasets.own_coco.values import Ids, as_flag, as_number, id_key


@pytest.mark.parametrize(
    'box, limited, beyond',
    [
        ((3, 4, 5, 6), (3, 4, 5, 6), 0),
        ((-2, 4, 5, 6), (0, 4, 3, 6), 2),
        ((45, 35, 100, 6), (45, 35, 5, 5), 95),
        ((-9, -9, 999, 999), (0, 0, 50, 40), 950),
    ],
)
def test_boxes_end_at_the_border(box, limited, beyond):
    assert limit_box(box, 50, 40) == (limited, '', beyond)


@pytest.mark.parametrize(
    'box', [(3, 4, 0, 6), (3, 4, -1, 6), (3, 4, 0.9, 6), (50, 4, 5, 6), (49.5, 4, 5, 6), (3, -6, 5, 6)]
)
def test_boxes_without_a_pixel_have_a_reason(box):
    found, problem, _ = limit_box(box, 50, 40)
    assert found is None and problem


def test_missing_boxes_are_no_bad_ones():
    assert read_box(None).is_missing and read_box([]).is_missing and not read_box([1, 2, 3]).is_missing
    assert read_box(['1', 2.5, 3, '4e0']).values == (1, 2.5, 3, 4)
    assert read_box(['1,5', 2, 3, 4]).problem and read_box([True, 2, 3, 4]).problem


def _random_boxes(count):
    rng = np.random.default_rng(0)
    sizes = rng.integers(8, 40, (count, 2))
    starts = (rng.random((count, 2)) * ([100, 80] - sizes)).round()
    return np.hstack([starts, sizes]).tolist(), np.hstack([starts, starts + sizes]).tolist(), [(100, 80)] * count


@pytest.mark.parametrize('count', [3, 20, 300])
def test_boxes_of_another_form_are_recognized(count):
    boxes, corners, sizes = _random_boxes(count)
    centers = [(x + w / 2, y + h / 2, w, h) for x, y, w, h in boxes]
    exchanged = [(y, x, bottom, right) for x, y, right, bottom in corners]
    assert other_form(corners, sizes) == other_form([*corners, (0, 0, 0, 0)], [*sizes, sizes[0]]) == 'x1, y1, x2, y2'
    assert other_form(exchanged, sizes) == 'y1, x1, y2, x2'
    assert count < 20 or other_form(centers, sizes) == 'center x, center y, width, height'
    assert other_form(boxes, sizes) == other_form([], []) == other_form([(0, 0, 0, 0)], [(9, 9)]) == ''
    shares = [[v / 100 for v in box] for box in boxes]
    assert are_relative(shares) and are_relative([*shares, *shares, *shares, *shares, (0, 0, 1.02, 1)])
    assert not are_relative(boxes) and not are_relative([])
    assert are_outside([[4 * v for v in box] for box in boxes], sizes)
    assert not are_outside(boxes, sizes) and not are_outside([(200, 5, 9, 9)] * 2, [(100, 80)] * 2)


def test_overlap():
    assert overlap((1, 1, 8, 8), (1, 1, 8, 8)) == 1
    assert overlap((1, 1, 8, 8), (30, 1, 8, 8)) == 0
    assert overlap((1, 1, 8, 8), (6, 1, 8, 8)) == 50 / 150


@pytest.mark.parametrize(
    'value, number',
    [(3, 3), (2.5, 2.5), ('7', 7), (' -1.5e2 ', -150), (True, None), (None, None), ('', None), ('1_0', None)]
    + [('٣', None), (float('nan'), None), ('inf', None), (10**400, None), ([1], None), ('9' * 500, None)],
)
def test_numbers(value, number):
    assert as_number(value) == number


@pytest.mark.parametrize(
    'value, flag',
    [(0, False), (None, False), ('0', False), ('False', False), (1, True), (True, True), ('1', True), (1.0, True)]
    + [(2, None), ('maybe', None), ([], None), (float('nan'), None)],
)
def test_flags(value, flag):
    assert as_flag(value) is flag


def test_ids():
    assert [id_key(value) for value in (7, 7.0, '7', ' 7 ', '007', 'a', '', None, True, [7], 7.5)] == (
        [7, 7, 7, 7, '007', 'a', None, None, None, None, None]
    )
    assert [Ids([3, 9]).find(key) for key in (9, 4, None, '009')] == [9, None, None, 9]
    assert [Ids(['b', 'a']).find(key) for key in ('a', 'b', 'c')] == [2, 1, None]
    assert [Ids(['001', '002']).find(key) for key in (2, '001', '0002')] == [2, 1, 2]
