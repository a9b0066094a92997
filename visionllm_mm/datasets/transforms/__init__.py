"""Pipeline transforms that mmdet lacks."""

from .instructions import (
    DetectionInstruction,
    PackInstructionInputs,
    SegmentationInstruction,
)
from .loading import LoadImageFromFile
from .sample_seed import SeedBySample

__all__ = [
    'DetectionInstruction', 'LoadImageFromFile', 'PackInstructionInputs', 'SeedBySample', 'SegmentationInstruction'
]
