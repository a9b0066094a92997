"""Inference in Python, for every task."""

from .inferencer import VisionLLMInferencer

__all__ = ['VisionLLMInferencer']
