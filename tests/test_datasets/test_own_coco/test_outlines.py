"""Outlines of any form give the mask that they mean."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from visionllm_mm.datasets.own_coco.outlines import _decode_counts, read_outline, unknown_outline

HEIGHT, WIDTH = 40, 50
SQUARE = [10, 10, 30, 10, 30, 30, 10, 30]
COUNTS = [410, *[20, 20] * 19, 20, 2000 - 410 - 20 * 39]


def _mask(outline):
    return coco_mask.decode(outline.rle(HEIGHT, WIDTH))


@pytest.mark.parametrize(
    'value',
    [
        [SQUARE],
        SQUARE,
        [str(v) for v in SQUARE],
        [[[10, 10], [30, 10], [30, 30], [10, 30]]],
        [[10, 10], [30, 10], [30, 30], [10, 30]],
        [SQUARE, [1, 2]],
        [[float('nan')] * 6, SQUARE],
        dict(size=[HEIGHT, WIDTH], counts=COUNTS),
        dict(size=['40', 50.0], counts=[str(run) for run in COUNTS]),
        dict(size=[HEIGHT, WIDTH], counts=coco_mask.frPyObjects([SQUARE], HEIGHT, WIDTH)[0]['counts'].decode()),
    ],
    ids=str,
)
def test_forms_of_one_square(value):
    outline = read_outline(value, HEIGHT, WIDTH)
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[10:30, 10:30] = 1
    np.testing.assert_array_equal(_mask(outline), expected)
    assert outline.area(HEIGHT, WIDTH) == 400 and outline.box(HEIGHT, WIDTH) == (10, 10, 20, 20)
    assert bool(outline.problem) == (isinstance(value, list) and len(value) == 2)  # one part is bad


def test_two_parts_are_one_mask():
    outline = read_outline([SQUARE, [0, 0, 5, 0, 5, 5, 0, 5]], HEIGHT, WIDTH)
    assert outline.area(HEIGHT, WIDTH) == 425 and outline.problem == ''


def test_compressed_counts_are_decoded_as_by_pycocotools():
    rng = np.random.default_rng(0)
    for _ in range(100):
        height, width = rng.integers(1, 90, 2)
        mask = np.asfortranarray(rng.random((height, width)) < rng.random(), dtype=np.uint8)
        runs = _decode_counts(coco_mask.encode(mask)['counts'].decode())
        again = coco_mask.frPyObjects(dict(size=[int(height), int(width)], counts=runs), int(height), int(width))
        np.testing.assert_array_equal(coco_mask.decode(again), mask)


@pytest.mark.parametrize('text', ['', 'a', '~', 'ä', 'oooooooooooooooooo0', None, 7, b'04'])
def test_bad_counts(text):
    assert read_outline(dict(size=[HEIGHT, WIDTH], counts=text), HEIGHT, WIDTH).problem.endswith('has bad counts')


def test_an_unknown_outline_is_the_box():
    outline = unknown_outline((10, 10, 20, 20), HEIGHT, WIDTH)
    assert coco_mask.area(outline) == 400 and outline['unknown'] is True
