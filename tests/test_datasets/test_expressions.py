"""Referring expressions in training, with what is known of the other objects."""

import json

import pytest
from mmengine.registry import init_default_scope

from visionllm_mm.datasets import ReferringExpressionDataset

OBJECTS = dict(
    images=[dict(id=i, file_name=f'{name}.png', width=40, height=30) for i, name in enumerate('ab')],
    annotations=[
        dict(id=1, image_id=0, category_id=7, bbox=[1, 2, 10, 20], area=200, iscrowd=0),
        dict(id=2, image_id=0, category_id=3, bbox=[20, 5, 9, 9], area=81, iscrowd=0),
    ],
    categories=[dict(id=3, name='red star'), dict(id=7, name='blue ring')],
)
KNOWN = dict(ann_file='objects.json', metainfo=dict(classes=('red star', 'blue ring')))


def _build(folder, boxes, file_name='a.png', **kwargs):
    image = dict(id=5, file_name=file_name, width=40, height=30, caption='the star', dataset_name='refcoco')
    content = dict(
        images=[image],
        categories=[dict(id=0, name='object')],
        annotations=[
            dict(id=i, image_id=5, category_id=0, bbox=box, area=81, iscrowd=0) for i, box in enumerate(boxes)
        ],
    )
    for name, saved in dict(objects=OBJECTS, expressions=content).items():
        (folder / f'{name}.json').write_text(json.dumps(saved))
    return ReferringExpressionDataset(
        ann_file='expressions.json', data_root=str(folder), data_prefix=dict(img=''), objects=KNOWN, **kwargs
    )


@pytest.mark.parametrize(
    'boxes, described',
    [([[20, 6, 9, 9]], (False, True)), ([], (False, False)), ([[20, 5, 9, 9], [1, 2, 10, 20]], (True, True))],
)
def test_samples_know_which_objects_are_meant(tmp_path, boxes, described):
    sample = _build(tmp_path, boxes).get_data_info(0)
    assert sample['described'] == described and sample['text'] == 'the star'
    assert sample['object_names'] == ['red star', 'blue ring']
    assert [(o['bbox_label'], o['bbox']) for o in sample['instances']] == [(1, [1, 2, 11, 22]), (0, [20, 5, 29, 14])]


@pytest.mark.parametrize(
    'boxes, file_name, message',
    [
        ([[0, 0, 3, 3]], 'a.png', "a.png: no known object is at .*, the box of 'the star'"),
        ([[0, 0, 3, 3]], 'b.png', "b.png: no known object is at .*, the box of 'the star'"),
        ([], 'c.png', 'c.png is not in .*objects.json'),
    ],
)
def test_objects_that_are_not_known(tmp_path, boxes, file_name, message):
    with pytest.raises(ValueError, match=message):
        _build(tmp_path, boxes, file_name)


def test_objects_that_are_not_meant_are_not_asked_for(tmp_path):
    init_default_scope('mmdet')
    vocabulary = dict(num_classes=8, coord_range=16, max_points=24)
    dataset = _build(
        tmp_path,
        [[20, 5, 9, 9]],
        pipeline=[
            dict(type='LoadAnnotations', with_bbox=True),
            dict(type='GroundingInstruction', vocabulary=vocabulary, training=True),
            dict(type='PackInstructionInputs'),
        ],
    )
    sample = dataset[0]['data_samples']
    assert sample.gt_instances.labels.tolist() == [-1, 0]
    assert sample.gt_instances.object_labels.tolist() == [1, 0]
    assert '"the star": <c0>' in sample.instruction
