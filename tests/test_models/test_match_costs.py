"""Match costs against hand computation and mmdet's, and the assignment against brute force."""

from itertools import permutations

import pytest
import torch
from mmdet.models.task_modules.assigners import FocalLossCost
from mmdet.registry import TASK_UTILS
from mmengine.structures import InstanceData

from visionllm_mm.models import CenterL1Cost, ClassProbabilityCost, ObjectnessFocalCost

COSTS = [
    dict(type='ObjectnessFocalCost', weight=2.0),
    dict(type='CenterL1Cost', weight=5.0),
    dict(type='ClassProbabilityCost', weight=1.0),
]


def _sample(num_tokens, num_objects, seed=0):
    generator = torch.Generator().manual_seed(seed)
    predictions = InstanceData(
        objectness=torch.randn(num_tokens, generator=generator),
        centers_norm=torch.rand(num_tokens, 2, generator=generator),
        class_logits=torch.randn(num_tokens, 4, generator=generator),
    )
    objects = InstanceData(
        labels=torch.randint(0, 3, (num_objects,), generator=generator),
        centers_norm=torch.rand(num_objects, 2, generator=generator),
    )
    return predictions, objects


def test_objectness_cost_is_mmdets_focal_cost_of_one_class():
    predictions, objects = _sample(6, 3)
    theirs = FocalLossCost(weight=2.0)(
        InstanceData(scores=predictions.objectness[:, None]), InstanceData(labels=torch.zeros(3, dtype=torch.long))
    )
    torch.testing.assert_close(ObjectnessFocalCost(weight=2.0)(predictions, objects), theirs)


def test_objectness_cost_is_finite_for_extreme_logits():
    predictions, objects = _sample(2, 1)
    predictions.objectness = torch.tensor([-200.0, 200.0])
    cost = ObjectnessFocalCost()(predictions, objects)
    assert cost.isfinite().all() and cost[1] < cost[0]


def test_center_cost_is_the_manhattan_distance():
    predictions, objects = _sample(4, 2)
    predictions.centers_norm[1] = torch.tensor([0.1, 0.2])
    objects.centers_norm[0] = torch.tensor([0.4, 0.9])
    cost = CenterL1Cost(weight=5.0)(predictions, objects)
    assert cost.shape == (4, 2)
    torch.testing.assert_close(cost[1, 0], torch.tensor(5.0))


def test_class_cost_is_the_negative_probability():
    predictions, objects = _sample(4, 2)
    predictions.class_logits[2] = torch.tensor([0.1, 0.2, 0.3, 0.4]).log()
    objects.labels[1] = 1
    torch.testing.assert_close(ClassProbabilityCost(weight=3.0)(predictions, objects)[2, 1], torch.tensor(-0.6))


@pytest.mark.parametrize('num_objects', [1, 3, 4])
def test_assignment_is_the_cheapest_of_all(num_objects):
    assigner = TASK_UTILS.build(dict(type='HungarianAssigner', match_costs=COSTS))
    for seed in range(5):
        predictions, objects = _sample(4, num_objects, seed)
        cost = sum(c(predictions, objects) for c in assigner.match_costs)
        best = min(permutations(range(4), num_objects), key=lambda p: sum(cost[t, o] for o, t in enumerate(p)))
        assigned = assigner.assign(predictions, objects).gt_inds
        assert [(assigned == o + 1).nonzero().item() for o in range(num_objects)] == list(best)


def test_more_objects_than_tokens_use_every_token_once():
    assigner = TASK_UTILS.build(dict(type='HungarianAssigner', match_costs=COSTS))
    assigned = assigner.assign(*_sample(3, 7)).gt_inds
    assert (assigned > 0).all() and len(assigned.unique()) == 3
