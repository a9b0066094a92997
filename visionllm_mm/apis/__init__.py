"""Inference in Python for every task, and export of its predictions."""

from .exports import to_coco, to_detections, to_labelme, to_labelme_files, to_text
from .inferencer import VisionLLMInferencer

__all__ = ['to_coco', 'to_detections', 'to_labelme', 'to_labelme_files', 'to_text', 'VisionLLMInferencer']
