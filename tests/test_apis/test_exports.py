"""Predictions as COCO's data sets, LabelMe's files and supervision's arrays."""

import contextlib
import io
import json

import numpy as np
import pytest
import supervision
import torch
from mmdet.evaluation import CocoMetric
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from visionllm_mm.apis import to_coco, to_detections, to_labelme, to_labelme_files, to_text


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


def test_coco_lists_the_classes_of_the_instruction_and_takes_any_form_of_result():
    asked = _prediction(class_names=['ring', 'red star', 'zebra'])
    whole = dict(predictions=[asked, WORDS], visualization=[])
    assert to_coco(whole) == to_coco([asked, WORDS]) and to_coco(asked) == to_coco([asked])
    assert [(c['id'], c['name']) for c in to_coco(asked, 0.5)['categories']] == [
        (1, 'ring'),
        (2, 'red star'),
        (3, 'zebra'),
    ]
    assert [a['category_id'] for a in to_coco(asked)['annotations']] == [2, 1]
    named = to_coco(asked, categories=['zebra', 'ring', 'red star'])
    assert [a['category_id'] for a in named['annotations']] == [3, 2] and named['categories'][0]['name'] == 'zebra'
    for known in ([dict(id=7, name='red star')], dict(categories=[dict(id=7, name='red star')])):
        assert [a['category_id'] for a in to_coco(asked, 0.5, categories=known)['annotations']] == [7]
    with pytest.raises(ValueError, match=r"'red star' was found, and is none of the categories \['ring'\]: leave"):
        to_coco(asked, categories=['ring'])
    with pytest.raises(ValueError, match=r'none of the categories .{70,90}\.\.\.\]: leave'):
        to_coco(asked, categories=[f'{i}' for i in range(100)])


def test_coco_numbers_images_by_their_paths():
    paths = ['/x/sub0/1.png', '/x/sub1/1.png', None, '/x/sub0/1.png']
    content = to_coco([_prediction(img_path=path) for path in paths])
    assert [(i['id'], i['file_name']) for i in content['images']] == [
        (1, 'sub0/1.png'),
        (2, 'sub1/1.png'),
        (3, '00000003.png'),
    ]
    assert [a['image_id'] for a in content['annotations']] == [1, 1, 2, 2, 3, 3, 1, 1]


TRUTH = dict(
    images=[
        dict(id=40, file_name='b/1.png', width=40, height=30),
        dict(id=30, file_name='1.png', width=40, height=30),
        dict(id=20, file_name='c\\2.png', width=40, height=30),
    ],
    categories=[dict(id=9, name='ring'), dict(id=5, name='red star')],
)


def test_coco_takes_the_ids_of_the_truth(tmp_path):
    (tmp_path / 'val.json').write_bytes(b'\xef\xbb\xbf' + json.dumps(TRUTH).encode())
    found = [_prediction(img_path=path) for path in ('/x/val/1.png', '/x/val/b/1.png', 'val/c/2.png')]
    for known in (TRUTH, tmp_path / 'val.json', str(tmp_path / 'val.json')):
        content = to_coco(found, categories=known)
        assert [a['image_id'] for a in content['annotations']] == [30, 30, 40, 40, 20, 20]
        assert [a['category_id'] for a in content['annotations']] == [5, 9] * 3
        assert content['categories'] == TRUTH['categories'] and content['images'][0] == TRUTH['images'][1]
    with pytest.raises(ValueError, match='/x/3.png is not among the 3 images of the annotations: give those'):
        to_coco(_prediction(img_path='/x/3.png'), categories=TRUTH)
    with pytest.raises(ValueError, match='/x/1.png and /y/1.png are both image 30 of the annotations, 1.png: export'):
        to_coco([_prediction(img_path='/x/1.png'), _prediction(img_path='/y/1.png')], categories=TRUTH)
    with pytest.raises(ValueError, match='for an array has no file name'):
        to_coco(_prediction(img_path=None), categories=TRUTH)
    (tmp_path / 'bad.json').write_text('{')
    with pytest.raises(ValueError, match='bad.json is no JSON: .* Write or copy it again'):
        to_coco(found, categories=tmp_path / 'bad.json')
    (tmp_path / 'list.json').write_text('[1]')
    with pytest.raises(ValueError, match=r'list.json: an object with "categories" is expected, got \[1\]'):
        to_coco(found, categories=tmp_path / 'list.json')
    with pytest.raises(FileNotFoundError, match='no file .*none.json'):
        to_coco(found, categories=tmp_path / 'none.json')
    with pytest.raises(ValueError, match='the COCO annotations: an object with "categories" is expected, got {'):
        to_coco(found, categories=dict(images=[]))
    for bad in (dict(categories=[dict(id=1)]), dict(categories=[], images=[dict(file_name='a.png')]), [dict(id=1)]):
        with pytest.raises(ValueError, match=r'entries of "(categories|images)" need .*id.*, but one is \{'):
            to_coco(found, categories=bad)


def test_what_is_exported_has_the_average_precision_of_the_metric(tmp_path):
    """Boxes that are off by more and more px, of classes and images whose ids are in no order."""
    rng = np.random.default_rng(0)
    names, images, annotations, predictions, samples = ['a', 'b', 'c'], [], [], [], []
    categories = [dict(id=identity, name=name) for identity, name in zip((8, 3, 5), names, strict=True)]
    for number in range(6):
        image = dict(id=100 - 7 * number, file_name=f'sub{number % 2}/{number // 2}.png', width=200, height=100)
        corners = rng.uniform(5, 50, (5, 2)).round()
        labels = rng.integers(0, 3, 5)
        images.append(image)
        for (x, y), label in zip(corners, labels, strict=True):
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image['id'],
                    category_id=categories[label]['id'],
                    bbox=[x, y, 40, 30],
                    area=1200,
                    iscrowd=0,
                )
            )
        low = corners + rng.uniform(-8, 8, (5, 2))
        boxes, scores = np.concatenate([low, low + [40, 30]], axis=1), np.sort(rng.uniform(0, 1, 5))[::-1]
        found = labels.copy()
        found[0] = (found[0] + 1) % 3
        predictions.append(
            dict(
                img_path=f'/data/val/{image["file_name"]}',
                ori_shape=[100, 200],
                class_names=[*names, 'zebra'],
                bboxes=boxes.tolist(),
                scores=scores.tolist(),
                label_names=[names[label] for label in found],
            )
        )
        samples.append(
            dict(
                img_id=image['id'],
                ori_shape=(100, 200),
                pred_instances=dict(
                    bboxes=torch.tensor(boxes), scores=torch.tensor(scores.copy()), labels=torch.tensor(found)
                ),
            )
        )
    ann_file = tmp_path / 'val.json'
    ann_file.write_text(json.dumps(dict(images=images, annotations=annotations, categories=categories)))
    with contextlib.redirect_stdout(io.StringIO()):
        metric = CocoMetric(ann_file=str(ann_file), metric='bbox')
        metric.dataset_meta = dict(classes=names)
        metric.process({}, samples)
        expected = metric.evaluate(len(samples))['coco/bbox_mAP']
        truth = COCO(ann_file)
        result = dict(predictions=predictions[::-1], visualization=[])
        evaluation = COCOeval(truth, truth.loadRes(to_coco(result, categories=ann_file)['annotations']), 'bbox')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert 0.1 < expected < 0.9 and evaluation.stats[0] == pytest.approx(expected, abs=1e-3)


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


def test_labelme_files_lie_beside_their_images():
    paths = ['/x/sub0/1.png', '/x/sub1/1.png', '/x/sub1/1.jpg']
    files = to_labelme_files(dict(predictions=[_prediction(img_path=path) for path in paths]))
    assert list(files) == ['sub0/1.png.json', 'sub1/1.png.json', 'sub1/1.jpg.json']
    assert files['sub1/1.jpg.json']['imagePath'] == '1.jpg'
    assert files['sub0/1.png.json'] == to_labelme(_prediction(img_path=paths[0]))
    assert list(to_labelme_files(_prediction())) == ['a.json'] and to_labelme_files([]) == {}


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
