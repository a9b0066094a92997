"""Samplers that mmdet lacks."""

from .one_task_sampler import OneTaskSampler

__all__ = ['OneTaskSampler']
