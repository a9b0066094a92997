"""Objects whose masks are not known stay in training, without points."""

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope

from visionllm_mm.datasets import AddPolygons, LoadKnownMasks, SegmentationInstruction
from visionllm_mm.datasets.own_coco.outlines import unknown_outline
from visionllm_mm.datasets.transforms.masks import UNKNOWN, are_known
from visionllm_mm.models.targets import set_targets

VOCABULARY = dict(num_classes=8, coord_range=64, max_points=24)


def _sample():
    """Of 40 x 30 px: a known triangle, an unknown object, and an unknown one that a crop at x = 20 removes."""
    instances = [
        dict(bbox=[2, 2, 12, 12], bbox_label=0, ignore_flag=0, mask=[[2, 2, 12, 2, 12, 12]]),
        dict(bbox=[5, 15, 18, 25], bbox_label=1, ignore_flag=0, mask=unknown_outline((5, 15, 13, 10), 30, 40)),
        dict(bbox=[25, 5, 35, 25], bbox_label=0, ignore_flag=0, mask=unknown_outline((25, 5, 10, 20), 30, 40)),
    ]
    return dict(
        img=np.zeros((30, 40, 3), np.uint8),
        img_shape=(30, 40),
        ori_shape=(30, 40),
        height=30,
        width=40,
        img_id=1,
        instances=instances,
        text=('a', 'b'),
    )


def test_unknown_masks_are_marked():
    results = LoadKnownMasks(with_mask=True)(_sample())
    masks = results['gt_masks'].to_ndarray()
    assert are_known(masks).tolist() == [True, False, False]
    assert masks.max(axis=(1, 2)).tolist() == [1, UNKNOWN, UNKNOWN]
    assert (masks[1] > 0).sum() == 130 and (masks[1, 15:25, 5:18] == UNKNOWN).all()
    assert are_known(np.zeros((0, 3, 4), np.uint8)).shape == (0,)


@pytest.mark.parametrize('scale', [(40, 30), (61, 47), (20, 15)])
def test_they_stay_through_transforms_as_objects_without_points(scale):
    init_default_scope('mmdet')
    np.random.seed(0)
    pipeline = Compose(
        [
            dict(type='LoadKnownMasks', with_bbox=True, with_mask=True),
            dict(type='RandomFlip', prob=0.0),
            dict(type='RandomResize', scale=scale, ratio_range=(1.0, 1.0), keep_ratio=False),
            dict(
                type='SegmentationInstruction', vocabulary=VOCABULARY, num_points=(8, 8), subset_prob=0.0, training=True
            ),
            dict(type='AddPolygons', num_points=(8, 8)),
            dict(type='PackInstructionInputs'),
        ]
    )
    sample = pipeline(_sample())['data_samples']
    known = sample.gt_instances
    for points in (known.points, known.polygons):
        assert points.isnan().all(dim=2).all(dim=1).tolist() == [False, True, True]
        assert not points[0].isnan().any()
    assert len(known.bboxes) == len(known.labels) == 3


def test_cropped_objects_are_removed_whether_known_or_not():
    masks = LoadKnownMasks(with_mask=True)(_sample())
    masks['gt_masks'] = masks['gt_masks'].crop(np.array([0, 0, 20, 30]))
    result = SegmentationInstruction(VOCABULARY, num_points=8, training=True, subset_prob=0.0)(masks)
    assert len(result['gt_bboxes']) == len(result['gt_points']) == 2
    assert np.isnan(result['gt_points'][1]).all() and not np.isnan(result['gt_points'][0]).any()


def test_polygons_of_other_transforms_are_as_before():
    """Masks of another loader have the values 0 and 1 alone, and an empty one has no polygon."""
    masks = np.zeros((2, 30, 40), np.uint8)
    masks[0, 3:20, 3:30] = 1
    results = dict(gt_masks=BitmapMasks(masks, 30, 40), gt_bboxes=HorizontalBoxes(torch.zeros(2, 4)))
    polygons = AddPolygons((8, 8))(results)['gt_polygons']
    assert not np.isnan(polygons[0]).any() and np.isnan(polygons[1]).all()


def test_targets_of_unknown_outlines_have_boxes():
    init_default_scope('mmdet')
    pipeline = Compose(
        [
            dict(type='LoadKnownMasks', with_bbox=True, with_mask=True),
            dict(type='SegmentationInstruction', vocabulary=VOCABULARY, num_points=8, subset_prob=0.0, training=True),
            dict(type='PackInstructionInputs'),
        ]
    )
    sample: DetDataSample = pipeline(_sample())['data_samples']
    sample.gt_instances.bboxes = sample.gt_instances.bboxes.tensor
    [target] = set_targets([sample])
    assert len(target) == 3 and not target.boxes_norm.isnan().any()
    assert target.points_norm.isnan().flatten(1).all(dim=1).tolist() == [False, True, True]
