"""OKS AP."""

import json

import numpy as np
import pytest
import torch

from visionllm_mm.evaluation import KeypointMetric

POINTS = np.array([[10, 10], [30, 12], [20, 40]])


def _evaluate(tmp_path, *predictions, sigmas=0.05, count=3):
    path = tmp_path / 'ann.json'
    path.write_text(
        json.dumps(
            dict(
                images=[dict(id=i, width=64, height=64) for i in (1, 2)],
                categories=[dict(id=3, name='dog'), dict(id=7, name='cat')],
                annotations=[
                    dict(
                        id=i,
                        image_id=i,
                        category_id=7,
                        bbox=[10, 10, 20, 30],
                        area=600,
                        iscrowd=0,
                        keypoints=np.column_stack([POINTS, [2, 2, 2]]).ravel().tolist(),
                        **(dict(num_keypoints=count) if count else {}),
                    )
                    for i in (1, 2)
                ],
            )
        )
    )
    metric = KeypointMetric(str(path), sigmas=sigmas)
    metric.dataset_meta = dict(classes=('dog', 'cat'))
    metric.process(
        {},
        [
            dict(
                img_id=i,
                pred_instances=dict(
                    points=torch.tensor(np.array(points), dtype=torch.float32).reshape(-1, 3, 2),
                    scores=torch.linspace(0.9, 0.1, len(points)),
                    labels=torch.full((len(points),), 1),
                ),
            )
            for i, points in enumerate(predictions, 1)
        ],
    )
    return metric.evaluate(size=len(predictions))


def test_right_points_are_perfect_and_far_ones_nothing(tmp_path):
    assert _evaluate(tmp_path, [POINTS], [POINTS])['keypoints/AP'] == pytest.approx(1)
    assert _evaluate(tmp_path, [POINTS + 60], [POINTS + 60])['keypoints/AP'] == 0
    half = _evaluate(tmp_path, [POINTS], [POINTS + 60])['keypoints/AP']
    assert 0.4 < half < 0.6


def test_files_without_the_number_of_points(tmp_path):
    assert _evaluate(tmp_path, [POINTS], count=None)['keypoints/AP'] == pytest.approx(1)


def test_larger_sigmas_forgive_more(tmp_path):
    strict = _evaluate(tmp_path, [POINTS + 3], [POINTS + 3], sigmas=0.05)['keypoints/AP']
    loose = _evaluate(tmp_path, [POINTS + 3], [POINTS + 3], sigmas=[0.2, 0.2, 0.2])['keypoints/AP']
    assert strict < loose


def test_no_prediction_is_zero(tmp_path):
    assert _evaluate(tmp_path, [], []) == {'keypoints/AP': 0, 'keypoints/AP50': 0, 'keypoints/AP75': 0}
