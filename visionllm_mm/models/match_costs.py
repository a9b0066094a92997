"""Bipartite matching of image tokens to objects, by costs that need no point decoding (docs/decisions.md#matching).

mmdet's HungarianAssigner does the matching; here are the costs that it lacks.
"""

import torch
from mmdet.models.task_modules.assigners.match_cost import BaseMatchCost
from mmdet.registry import TASK_UTILS
from mmengine.structures import InstanceData
from torch import Tensor


@TASK_UTILS.register_module()
class ObjectnessFocalCost(BaseMatchCost):
    """Class-agnostic focal cost of ``pred_instances.objectness`` (M,) logits; the same for every object."""

    def __init__(self, weight: float = 1.0, alpha: float = 0.25, gamma: float = 2.0) -> None:
        super().__init__(weight)
        self.alpha = alpha
        self.gamma = gamma

    def __call__(
        self, pred_instances: InstanceData, gt_instances: InstanceData, img_meta: dict | None = None, **kwargs
    ) -> Tensor:
        """(M, K) costs."""
        logits = pred_instances.objectness.float()
        probability = logits.sigmoid()
        positive = -torch.nn.functional.logsigmoid(logits) * self.alpha * (1 - probability) ** self.gamma
        negative = -torch.nn.functional.logsigmoid(-logits) * (1 - self.alpha) * probability**self.gamma
        return (positive - negative)[:, None].expand(-1, len(gt_instances)) * self.weight


@TASK_UTILS.register_module()
class CenterL1Cost(BaseMatchCost):
    """L1 distance of ``centers_norm``, (M, 2) and (K, 2) in [0, 1]."""

    def __call__(
        self, pred_instances: InstanceData, gt_instances: InstanceData, img_meta: dict | None = None, **kwargs
    ) -> Tensor:
        """(M, K) costs."""
        return torch.cdist(pred_instances.centers_norm, gt_instances.centers_norm, p=1) * self.weight


@TASK_UTILS.register_module()
class ClassProbabilityCost(BaseMatchCost):
    """Negative probability of the object's class, from ``pred_instances.class_logits`` (M, K + 1)."""

    def __call__(
        self, pred_instances: InstanceData, gt_instances: InstanceData, img_meta: dict | None = None, **kwargs
    ) -> Tensor:
        """(M, K) costs."""
        return -pred_instances.class_logits.softmax(dim=-1)[:, gt_instances.labels] * self.weight
