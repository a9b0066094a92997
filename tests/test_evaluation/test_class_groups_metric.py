"""AP of groups of classes."""

import json

import pytest
import torch

from visionllm_mm.evaluation import ClassGroupsMetric

NAMES = ('star', 'ring', 'heart', 'cross')


@pytest.fixture()
def ann_file(tmp_path):
    """One star and one ring in one image; no heart and no cross."""
    path = tmp_path / 'val.json'
    path.write_text(
        json.dumps(
            dict(
                images=[dict(id=1, width=64, height=64)],
                categories=[dict(id=i, name=name) for i, name in enumerate(NAMES)],
                annotations=[
                    dict(id=i + 1, image_id=1, category_id=i, bbox=[20 * i, 0, 16, 16], area=256, iscrowd=0)
                    for i in range(2)
                ],
            )
        )
    )
    return str(path)


def _evaluate(metric, boxes, labels):
    metric.dataset_meta = dict(classes=NAMES)
    metric.process(
        {},
        [
            dict(
                img_id=1,
                ori_shape=(64, 64),
                pred_instances=dict(
                    bboxes=torch.tensor(boxes).reshape(-1, 4),
                    scores=torch.full((len(labels),), 0.9),
                    labels=torch.tensor(labels),
                ),
            )
        ],
    )
    return metric.evaluate(size=1)


def test_groups_are_means_of_their_classes(ann_file):
    metric = ClassGroupsMetric(ann_file, groups=dict(found=['star', 'heart'], missed=['ring'], absent=['cross']))
    found = _evaluate(metric, [[0.0, 0, 16, 16]], [0])
    assert found['coco/bbox_mAP_found'] == 1.0 and found['coco/bbox_mAP_missed'] == 0.0
    assert found['coco/bbox_mAP'] == 0.5 and 'coco/bbox_mAP_absent' not in found
    assert not [name for name in found if name.endswith('precision')]


def test_unknown_names_are_refused(ann_file):
    with pytest.raises(ValueError, match=r"\['stra'\], which are no classes"):
        _evaluate(ClassGroupsMetric(ann_file, groups=dict(seen=['stra'])), [[0.0, 0, 16, 16]], [0])
