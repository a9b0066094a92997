"""Metrics that mmdet lacks."""

from .answer_metric import AnswerMetric
from .caption_metric import CaptionMetric
from .class_groups_metric import ClassGroupsMetric
from .grounding_metric import GroundingMetric
from .keypoint_metric import KeypointMetric
from .named_objects_metric import NamedObjectsMetric
from .own_coco_metric import OwnCocoMetric

__all__ = [
    'AnswerMetric',
    'CaptionMetric',
    'ClassGroupsMetric',
    'GroundingMetric',
    'KeypointMetric',
    'NamedObjectsMetric',
    'OwnCocoMetric',
]
