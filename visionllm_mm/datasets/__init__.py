"""What mmdet's data sets and pipelines lack."""

from .coco_classes import read_class_names
from .transforms import DetectionInstruction, PackInstructionInputs, SeedBySample

__all__ = ['DetectionInstruction', 'PackInstructionInputs', 'SeedBySample', 'read_class_names']
