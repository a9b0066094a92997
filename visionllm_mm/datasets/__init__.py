"""What mmdet's data sets and pipelines lack."""

from .coco_classes import read_class_names
from .transforms import (
    DetectionInstruction,
    GroundingInstruction,
    PackInstructionInputs,
    SeedBySample,
    SegmentationInstruction,
)

__all__ = [
    'DetectionInstruction', 'GroundingInstruction', 'PackInstructionInputs', 'SeedBySample', 'SegmentationInstruction',
    'read_class_names'
]
