"""Instruction transform, seeding and class names of annotation files."""

import json

import numpy as np
import pytest
import torch
from mmdet.structures.bbox import HorizontalBoxes

from visionllm_mm.datasets import DetectionInstruction, SeedBySample, read_class_names
from visionllm_mm.instructions import Vocabulary, parse_instruction

VOCABULARY = dict(num_classes=8, coord_range=64, max_points=24)
NAMES = ['circle', 'square', 'star']


def _sample():
    boxes = torch.tensor([[1.0, 2.0, 11.0, 22.0], [5.0, 5.0, 9.0, 9.0], [0.0, 0.0, 3.0, 4.0]])
    return dict(
        text=NAMES,
        custom_entities=True,
        img_id=3,
        gt_bboxes=HorizontalBoxes(boxes),
        gt_bboxes_labels=np.array([2, 0, 2]),
        gt_ignore_flags=np.array([False, False, True]),
    )


def test_training_targets_follow_the_set():
    transform = DetectionInstruction(VOCABULARY, training=True, subset_prob=0.5)
    left_out = False
    for seed in range(30):
        np.random.seed(seed)
        plain, result = _sample(), transform(_sample())
        asked = parse_instruction(result['instruction'], Vocabulary(**VOCABULARY))
        assert list(asked.class_names) == [NAMES[label] for label in result['class_labels']]
        for before, after in zip(plain['gt_bboxes_labels'], result['gt_bboxes_labels'], strict=True):
            if NAMES[before] in asked.class_names:
                assert asked.class_names[after] == NAMES[before]
            else:
                left_out = True
                assert after == -1
        np.testing.assert_allclose(result['gt_points'].reshape(-1, 4), plain['gt_bboxes'].tensor.numpy())
    assert left_out


def test_evaluation_asks_for_all_classes_in_order_and_leaves_labels():
    result = DetectionInstruction(VOCABULARY)(_sample())
    assert result['class_names'] == NAMES and result['gt_bboxes_labels'].tolist() == [2, 0, 2]
    assert 'gt_points' not in result


def test_class_set_of_a_prompt():
    transform = DetectionInstruction(VOCABULARY, classes=('ring',))
    assert transform(dict())['class_names'] == ['ring']
    assert transform(dict(text='red star . ring .', custom_entities=True))['class_names'] == ['red star', 'ring']
    with pytest.raises(ValueError, match='custom_entities=True'):
        transform(dict(text='a star'))
    with pytest.raises(ValueError, match='empty'):
        transform(dict(text=' . ', custom_entities=True))
    with pytest.raises(ValueError, match='no class set'):
        DetectionInstruction(VOCABULARY)(dict())
    with pytest.raises(ValueError, match='template_index must be'):
        DetectionInstruction(VOCABULARY, template_index=99)


def test_randomness_depends_on_image_and_epoch_alone():
    seeder = SeedBySample(seed=1)

    def draw(img_id, epoch):
        seeder.epoch.fill_(epoch)
        np.random.seed(None)
        seeder(dict(img_id=img_id))
        return np.random.rand()

    assert draw(3, 0) == draw(3, 0)
    assert len({draw(3, 0), draw(4, 0), draw(3, 1)}) == 3


def test_class_names_of_a_file(tmp_path):
    path = tmp_path / 'train.json'
    with pytest.raises(FileNotFoundError, match='DATA_ROOT'):
        read_class_names(path)
    for content, message in (
        ('{', 'no JSON'),
        ('{"images": []}', 'no COCO-format'),
        ('{"categories": []}', 'lists no categories'),
    ):
        path.write_text(content)
        with pytest.raises(ValueError, match=message):
            read_class_names(path)
    path.write_text(json.dumps(dict(categories=[dict(id=7, name='a'), dict(id=2, name='b')])))
    assert read_class_names(path) == ('a', 'b')
    objects = [dict(category_id=7), dict(category_id=2)]
    path.write_text(json.dumps(dict(categories=[dict(id=7, name='a'), dict(id=2, name='a')], annotations=objects)))
    with pytest.raises(ValueError, match='twice'):
        read_class_names(path)
