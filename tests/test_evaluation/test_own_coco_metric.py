"""Own data are evaluated against the annotations that are trained on."""

import json

import numpy as np
import pytest
import torch
from mmdet.registry import METRICS
from mmengine.registry import init_default_scope
from pycocotools import mask as coco_mask

from tests.helpers.own_coco import make_folder
from visionllm_mm.datasets.own_coco import OwnCocoDataset


def _measure(data, classes=('box', 'blue disk'), metric=('bbox', 'segm')):
    """AP of predictions that are the annotations themselves."""
    init_default_scope('mmdet')
    dataset = OwnCocoDataset(
        ann_file=str(data / 'val.json'),
        data_prefix=dict(img=str(data / 'val')),
        metainfo=dict(classes=classes),
        test_mode=True,
        serialize_data=False,
        pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadKnownMasks', with_mask='segm' in metric)],
    )
    metric = METRICS.build(
        dict(
            type='OwnCocoMetric',
            ann_file=str(data / 'val.json'),
            data_prefix=dict(img=str(data / 'val')),
            metric=list(metric),
        )
    )
    metric.dataset_meta = dataset.metainfo
    for item in dataset:
        found = dict(
            bboxes=item['gt_bboxes'].tensor,
            scores=torch.ones(len(item['gt_bboxes'])),
            labels=torch.from_numpy(item['gt_bboxes_labels']),
        )
        if 'gt_masks' in item:
            masks = item['gt_masks'].to_ndarray() > 0
            found['masks'] = [coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8)) for mask in masks]
        metric.process({}, [dict(img_id=item['img_id'], ori_shape=item['ori_shape'], pred_instances=found)])
    return metric.evaluate(len(dataset)), dataset


def _change(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def _from_zero(content):
    for key, entries in content.items():
        for i, entry in enumerate(entries):
            entry['id'] = i if key == 'annotations' else entry['id'] - 1
            entry.update({name: entry[name] - 1 for name in ('image_id', 'category_id') if name in entry})


def _other_order(content):
    content['categories'].reverse()


def _ids_as_texts(content):
    for key in ('images', 'annotations'):
        for entry in content[key]:
            name = 'id' if key == 'images' else 'image_id'
            entry[name] = f'{"abc"[entry[name] - 1]}-uuid'


def _mixed_outlines(content):
    for annotation, value in zip(content['annotations'], ([], None, [[1, 2]]), strict=False):
        annotation['segmentation'] = value


def _bad_boxes(content):
    content['annotations'][0].update(bbox=[5, 5, 0, 3], area=0)
    content['annotations'][1].update(category_id=99)
    content['images'][2].update(file_name='none.png')


@pytest.mark.parametrize('change', [_from_zero, _other_order, _ids_as_texts, _mixed_outlines, _bad_boxes])
def test_perfect_predictions_have_ap_1(tmp_path, change):
    data = make_folder(tmp_path)
    _change(data / 'val.json', change)
    results, dataset = _measure(data)
    assert results['coco/bbox_mAP'] == results['coco/segm_mAP'] == 1.0
    assert dataset.report.num_boxes == (2 if change is _bad_boxes else 4)


def test_a_class_without_a_category_counts_for_nothing(tmp_path):
    data = make_folder(tmp_path)
    results, dataset = _measure(data, classes=('elm', 'box', 'blue disk'), metric=('bbox',))
    assert results['coco/bbox_mAP'] == 1.0
    labels = {instance['bbox_label'] for i in range(3) for instance in dataset.get_data_info(i)['instances']}
    assert labels == {1, 2}


def test_bad_files_are_refused_before_the_first_prediction(tmp_path):
    data = make_folder(tmp_path)
    _change(data / 'val.json', lambda content: content.update(annotations=[]))
    metric = METRICS.build(
        dict(type='OwnCocoMetric', ann_file=str(data / 'val.json'), data_prefix=dict(img=str(data / 'val')))
    )
    with pytest.raises(ValueError, match='val.json: it has no annotations'):
        metric.dataset_meta = dict(classes=('box', 'blue disk'))
