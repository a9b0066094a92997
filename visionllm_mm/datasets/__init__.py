"""What mmdet's data sets and pipelines lack."""

from .coco_classes import read_class_names
from .transforms import (
    DetectionInstruction,
    PackInstructionInputs,
    SeedBySample,
    SegmentationInstruction,
)

__all__ = [
    'DetectionInstruction', 'PackInstructionInputs', 'SeedBySample', 'SegmentationInstruction', 'read_class_names'
]
