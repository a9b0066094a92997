"""Metrics that mmdet lacks."""

from .answer_metric import AnswerMetric
from .caption_metric import CaptionMetric
from .grounding_metric import GroundingMetric
from .keypoint_metric import KeypointMetric

__all__ = ['AnswerMetric', 'CaptionMetric', 'GroundingMetric', 'KeypointMetric']
