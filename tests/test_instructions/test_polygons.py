"""Masks as polygons."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from visionllm_mm.instructions import decode_polygon, encode_polygon

HEIGHT, WIDTH = 60, 80
Y, X = np.mgrid[:HEIGHT, :WIDTH] + 0.5
DISK = (X - 30) ** 2 + (Y - 25) ** 2 <= 20**2
MOON = DISK & ((X - 40) ** 2 + (Y - 25) ** 2 > 15**2)


def _iou(mask, points):
    rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return coco_mask.iou([decode_polygon(points, HEIGHT, WIDTH)], [rle], [0])[0, 0]


def test_rectangle_by_hand():
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[10:30, 20:60] = True
    # 40 x 20 px around; eight points are 15 px apart, the first in the middle of the right side.
    expected = [[60, 20], [55, 30], [40, 30], [25, 30], [20, 20], [25, 10], [40, 10], [55, 10]]
    np.testing.assert_allclose(encode_polygon(mask, 8), expected, atol=0.5)


@pytest.mark.parametrize('mask', [DISK, MOON], ids=['disk', 'moon'])
def test_more_points_write_a_mask_better(mask):
    quality = [_iou(mask, encode_polygon(mask, count)) for count in (3, 8, 14, 24)]
    assert quality == sorted(quality) and quality[-1] > 0.94


def test_points_run_clockwise_from_the_right_at_equal_distances():
    points = encode_polygon(DISK, 24)
    angles = np.unwrap(np.arctan2(points[:, 1] - 25, points[:, 0] - 30))  # y points down: clockwise is increasing
    np.testing.assert_allclose(angles, np.arange(24) * 2 * np.pi / 24, atol=0.06)
    np.testing.assert_allclose(np.hypot(*(points - (30, 25)).T), 20, atol=0.5)


def test_concave_part_starts_at_its_rightmost_crossing():
    points = encode_polygon(MOON, 16)
    rows, columns = np.nonzero(MOON)
    assert points[0, 1] == pytest.approx((rows.min() + rows.max() + 1) / 2)
    assert points[0, 0] == pytest.approx(columns[rows == int(points[0, 1])].max() + 1, abs=1)


def test_largest_part_counts_and_holes_do_not():
    both = DISK.copy()
    both[5:10, 70:75] = True
    both[20:30, 25:35] = False
    np.testing.assert_allclose(encode_polygon(both, 12), encode_polygon(DISK, 12))


@pytest.mark.parametrize('box', [(0, 0, 1, 1), (59, 79, 1, 1), (0, 0, 60, 80), (10, 0, 1, 80)])
def test_smallest_and_largest_masks(box):
    top, left, height, width = box
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[top : top + height, left : left + width] = True
    points = encode_polygon(mask, 24)
    assert points.shape == (24, 2)
    assert (points >= (left, top)).all() and (points <= (left + width, top + height)).all()


def test_what_has_no_polygon_is_an_error():
    with pytest.raises(ValueError, match='empty mask'):
        encode_polygon(np.zeros((4, 4)), 8)
    with pytest.raises(ValueError, match='at least 3 points, got 2'):
        encode_polygon(DISK, 2)
