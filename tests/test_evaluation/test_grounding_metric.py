"""P@0.5 of visual grounding."""

import json

import pytest
import torch

from visionllm_mm.evaluation import GroundingMetric


@pytest.fixture
def ann_file(tmp_path):
    """Expression 3 describes nothing, expression 4 belongs to no group, expression 5 has two boxes."""
    boxes = {1: [[0, 0, 10, 10]], 2: [[10, 10, 20, 20]], 3: [], 4: [[0, 0, 10, 10]], 5: [[0, 0, 4, 4], [20, 20, 8, 8]]}
    groups = {1: 'refcoco', 2: 'refcoco', 3: 'refcocog', 5: 'refcocog'}
    path = tmp_path / 'refexp.json'
    path.write_text(
        json.dumps(
            dict(
                images=[
                    dict(id=i, width=64, height=64) | (dict(dataset_name=groups[i]) if i in groups else {})
                    for i in boxes
                ],
                annotations=[
                    dict(id=10 * i + k, image_id=i, category_id=7, bbox=box, area=1, iscrowd=0)
                    for i, found in boxes.items()
                    for k, box in enumerate(found)
                ],
                categories=[dict(id=7, name='object')],
            )
        )
    )
    return str(path)


def _sample(img_id, *scored):
    return dict(
        img_id=img_id,
        pred_instances=dict(
            bboxes=torch.tensor([box for _, box in scored], dtype=torch.float32).reshape(-1, 4),
            scores=torch.tensor([score for score, _ in scored]),
        ),
    )


def _evaluate(ann_file, samples, **kwargs):
    metric = GroundingMetric(ann_file, **kwargs)
    metric.process({}, samples)
    return metric.evaluate(size=len(samples))


def test_best_scored_box_counts_whatever_the_order(ann_file):
    hit, miss = [0, 0, 10, 10], [30, 30, 40, 40]
    assert _evaluate(ann_file, [_sample(1, (0.2, miss), (0.9, hit))])['grounding/P@0.5'] == 1
    assert _evaluate(ann_file, [_sample(1, (0.9, miss), (0.2, hit))])['grounding/P@0.5'] == 0


def test_groups_and_total(ann_file):
    samples = [
        _sample(1, (0.9, [0, 0, 10, 10])),
        _sample(2, (0.9, [0, 0, 10, 10])),
        _sample(3, (0.1, [0, 0, 5, 5])),
        _sample(4),
        _sample(5, (0.4, [20, 20, 28, 28])),
    ]
    assert _evaluate(ann_file, samples) == pytest.approx(
        {'grounding/P@0.5': 3 / 5, 'grounding/refcoco_P@0.5': 1 / 2, 'grounding/refcocog_P@0.5': 1}
    )


def test_nothing_to_find(ann_file):
    found = [_sample(3, (0.6, [0, 0, 5, 5]))]
    assert _evaluate(ann_file, found)['grounding/P@0.5'] == 0
    assert _evaluate(ann_file, found, score_thr=0.7)['grounding/P@0.5'] == 1
    assert _evaluate(ann_file, [_sample(3)])['grounding/P@0.5'] == 1
    failed = _sample(3) | dict(failure='cut off')
    assert _evaluate(ann_file, [failed])['grounding/P@0.5'] == 0


@pytest.mark.parametrize('iou_thr, expected', [(0.5, 1), (0.75, 0)])
def test_overlap_of_a_hit(ann_file, iou_thr, expected):
    result = _evaluate(ann_file, [_sample(1, (0.5, [0, 0, 10, 6]))], iou_thr=iou_thr)
    assert result == {f'grounding/P@{iou_thr}': expected, f'grounding/refcoco_P@{iou_thr}': expected}
