"""Predictions as COCO's data sets, LabelMe's files and supervision's arrays."""

import contextlib
import io
import json

import numpy as np
import pytest
import supervision
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from visionllm_mm.apis import to_coco, to_detections, to_labelme, to_text


def _prediction(**more):
    outline = [[10.0, 5.0], [20.0, 5.0], [20.0, 15.0], [10.0, 15.0]]
    rle = coco_mask.merge(coco_mask.frPyObjects([np.ravel(outline).tolist()], 30, 40))
    rle['counts'] = rle['counts'].decode()
    return (
        dict(
            img_path='/pictures/a.png',
            ori_shape=[30, 40],
            instruction='',
            output_format='<cls> <x1> <y1>',
            bboxes=[[10.0, 5.0, 20.0, 15.0], [0.0, 0.0, 4.0, 8.0]],
            scores=[0.9, 0.2],
            labels=[1, 0],
            label_names=['red star', 'ring'],
            tokens=['', ''],
            polygons=[outline, outline],
            masks=[rle, rle],
        )
        | more
    )


WORDS = dict(img_path=None, ori_shape=[8, 9], instruction='', output_format='<bos>', text='a star')


def test_text():
    found = _prediction(tokens=['<c1> <p3>', '<c0> <p-1>'])
    assert to_text(found) == 'red star, 0.90:  <c1> <p3>\nring, 0.20:  <c0> <p-1>'
    assert to_text(found, 0.5) == 'red star, 0.90:  <c1> <p3>'
    assert to_text(found, 0.95) == 'nothing with a score of 0.95 or more' and to_text(WORDS) == 'a star'


def test_coco_reads_what_was_found(tmp_path):
    content = to_coco([_prediction(), WORDS], score_thr=0.5)
    (tmp_path / 'found.json').write_text(json.dumps(content))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(tmp_path / 'found.json')
    assert [coco.imgs[i]['file_name'] for i in (1, 2)] == ['a.png', '00000002.png']
    assert coco.imgs[1]['height'] == 30 and coco.imgs[1]['width'] == 40
    (annotation,) = coco.anns.values()
    assert annotation['bbox'] == [10, 5, 10, 10] and annotation['score'] == 0.9 and annotation['area'] == 100
    assert coco.cats[annotation['category_id']]['name'] == 'red star'
    assert coco.annToMask(annotation).sum() == 100
    assert content['captions'] == [dict(id=1, image_id=2, caption='a star')]


def test_coco_keeps_named_points():
    points = [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]]
    found = to_coco([_prediction(keypoints=points, point_names=['top', 'left'])])
    assert [a['keypoints'] for a in found['annotations']] == [[1, 2, 2, 3, 4, 2], [5, 6, 2, 7, 8, 2]]
    assert [c['keypoints'] for c in found['categories']] == [['top', 'left'], ['top', 'left']]
    assert [c['id'] for c in found['categories']] == [1, 2] and found['annotations'][1]['category_id'] == 2


def test_labelme():
    outlines = to_labelme(_prediction(), score_thr=0.5)
    assert outlines['imagePath'] == 'a.png' and (outlines['imageHeight'], outlines['imageWidth']) == (30, 40)
    (shape,) = outlines['shapes']
    assert shape['label'] == 'red star' and shape['shape_type'] == 'polygon' and len(shape['points']) == 4
    boxes = _prediction(keypoints=[[[1.0, 2.0]], [[5.0, 6.0]]], point_names=['top'])
    del boxes['polygons'], boxes['masks']
    shapes = to_labelme(boxes)['shapes']
    assert [s['shape_type'] for s in shapes] == ['rectangle', 'point', 'rectangle', 'point']
    assert [s['label'] for s in shapes] == ['red star', 'red star top', 'ring', 'ring top']
    assert shapes[0]['points'] == [[10, 5], [20, 15]] and shapes[3]['points'] == [[5, 6]]
    assert shapes[3]['group_id'] == shapes[2]['group_id'] == 1
    for other in (WORDS, _prediction(img_path=None)):
        with pytest.raises(ValueError, match='LabelMe files hold shapes on an image file'):
            to_labelme(other)


def test_detections():
    found = to_detections(_prediction())
    assert found['xyxy'].shape == (2, 4) and found['class_id'].tolist() == [1, 0]
    assert found['data']['class_name'].tolist() == ['red star', 'ring'] and found['mask'].shape == (2, 30, 40)
    assert found['mask'][0].sum() == 100
    nothing = to_detections(_prediction(bboxes=[], scores=[], labels=[], label_names=[], polygons=[], masks=[]))
    assert nothing['xyxy'].shape == (0, 4) and 'mask' not in nothing
    with pytest.raises(ValueError, match='an answer in text has no boxes'):
        to_detections(WORDS)


def test_supervision_takes_them():
    detections = supervision.Detections(**to_detections(_prediction()))
    assert len(detections) == 2 and detections['class_name'][0] == 'red star'
