"""Inference in Python, for every task, and what becomes of its answers elsewhere."""

from .exports import to_coco, to_detections, to_labelme, to_text
from .inferencer import VisionLLMInferencer

__all__ = ['to_coco', 'to_detections', 'to_labelme', 'to_text', 'VisionLLMInferencer']
