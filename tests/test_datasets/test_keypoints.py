"""Keypoints: data set, instruction and targets."""

import json

import numpy as np
import pytest
import torch
from mmdet.datasets.transforms import RandomCrop, Resize
from mmdet.structures.bbox import HorizontalBoxes

from visionllm_mm.datasets import (
    KeypointCocoDataset,
    KeypointInstruction,
    LoadKeypoints,
)
from visionllm_mm.instructions import Vocabulary, parse_instruction

VOCABULARY = dict(num_classes=8, coord_range=64, max_points=5)
NAMES = ['nose', 'left eye', 'tail']


def _dataset(tmp_path, *annotations):
    plain = dict(image_id=1, category_id=4, bbox=[1, 1, 9, 9], area=81, iscrowd=0)
    (tmp_path / 'ann.json').write_text(
        json.dumps(
            dict(
                images=[dict(id=1, file_name='a.png', width=40, height=30)],
                categories=[dict(id=4, name='cat')],
                annotations=[plain | dict(id=i) | ann for i, ann in enumerate(annotations, 1)],
            )
        )
    )
    return KeypointCocoDataset(
        ann_file='ann.json', data_root=str(tmp_path), data_prefix=dict(img=''), metainfo=dict(classes=('cat',))
    )


def test_instances_carry_their_own_keypoints(tmp_path):
    dataset = _dataset(
        tmp_path, dict(keypoints=[1, 2, 2] * 3), dict(keypoints=[0] * 9, area=0), dict(keypoints=[5, 6, 1] * 3)
    )
    info = dataset.get_data_info(0)
    assert [instance['keypoints'][:3] for instance in info['instances']] == [[1, 2, 2], [5, 6, 1]]
    assert LoadKeypoints(3)(info)['gt_keypoints'].shape == (2, 3, 3)
    assert LoadKeypoints(3)(dict(instances=[]))['gt_keypoints'].shape == (0, 3, 3)


def test_annotation_without_keypoints_is_named(tmp_path):
    with pytest.raises(ValueError, match='annotation 2 of .*ann.json has no keypoints'):
        _dataset(tmp_path, dict(keypoints=[1, 2, 2] * 3), dict()).full_init()


def _sample(keypoints, **more):
    count = len(keypoints)
    return (
        dict(
            text=('cat',),
            img_path='a.png',
            gt_bboxes=HorizontalBoxes(torch.ones(count, 4)),
            gt_bboxes_labels=np.zeros(count, np.int64),
            gt_ignore_flags=np.zeros(count, bool),
            gt_keypoints=np.array(keypoints, dtype=np.float64).reshape(count, -1, 3),
            img_shape=(30, 40),
        )
        | more
    )


def test_targets_are_scaled_and_unlabelled_points_unknown():
    transform = KeypointInstruction(VOCABULARY, point_names=NAMES, training=True, subset_prob=0.0)
    result = transform(
        _sample([[[10, 20, 2], [0, 0, 0], [5, 6, 1]], [[0, 0, 0]] * 3], homography_matrix=np.diag([2.0, 0.5, 1.0]))
    )
    np.testing.assert_allclose(result['gt_points'], [[[20, 10], [np.nan] * 2, [10, 3]]])
    assert len(result['gt_bboxes']) == len(result['gt_bboxes_labels']) == 1
    asked = parse_instruction(result['instruction'], Vocabulary(**VOCABULARY))
    assert asked.point_names == tuple(NAMES) and asked.num_points == 3


@pytest.mark.parametrize('seed', range(20))
def test_points_follow_crops_and_those_cropped_off_are_unknown(seed):
    np.random.seed(seed)
    transform = KeypointInstruction(VOCABULARY, point_names=NAMES, training=True, subset_prob=0.0)
    objects = np.array([[[10, 20, 2], [25, 20, 1], [15, 9, 2]], [[2, 3, 2], [4, 3, 2], [3, 8, 2]]], dtype=float)
    sample = _sample(
        objects,
        img=np.zeros((30, 40, 3), np.uint8),
        gt_instances_ids=np.arange(2),
        gt_bboxes=HorizontalBoxes(torch.tensor([[0.0, 0.0, 40.0, 30.0], [1.0, 2.0, 5.0, 9.0]])),
    )
    sample = RandomCrop((20, 10))(Resize(scale=(40, 30))(sample))
    left, top = -sample['homography_matrix'][:2, 2]
    found = transform(sample)['gt_points'] + [left, top]
    inside = ((objects[..., :2] >= [left, top]) & (objects[..., :2] <= [left + 20, top + 10])).all(axis=-1)
    expected = np.where(inside[..., None], objects[..., :2], np.nan)[inside.any(axis=1)]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_misuse_is_named():
    transform = KeypointInstruction(VOCABULARY, point_names=NAMES, training=True)
    with pytest.raises(ValueError, match='a.png has 2 keypoints per object, but 3 names'):
        transform(_sample([[[1, 2, 2]] * 2]))
    with pytest.raises(ValueError, match='take RandomFlip out'):
        transform(_sample([[[1, 2, 2]] * 3], flip=True))
    with pytest.raises(ValueError, match='a.png has keypoints of 1 objects, but 0 boxes: .*only RandomCrop'):
        transform(_sample([[[1, 2, 2]] * 3], gt_bboxes=HorizontalBoxes(torch.ones(0, 4))))
    with pytest.raises(ValueError, match='6 point names, but a format has 1 .. 5'):
        KeypointInstruction(VOCABULARY, point_names=list('abcdef'))


@pytest.mark.parametrize(
    'names, error, message',
    [
        ('top', TypeError, "the string 'top': put it in a list"),
        ([1, 2], TypeError, 'got 1'),
        (['top', ' '], ValueError, 'number 1 of'),
        (['top', 'top'], ValueError, 'must differ'),
    ],
)
def test_bad_names_of_points(names, error, message):
    with pytest.raises(error, match=message):
        KeypointInstruction(VOCABULARY, point_names=names)
