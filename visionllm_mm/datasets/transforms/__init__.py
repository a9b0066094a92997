"""Pipeline transforms that mmdet lacks."""

from .instructions import (
    DetectionInstruction,
    GroundingInstruction,
    PackInstructionInputs,
    SegmentationInstruction,
)
from .loading import LoadImageFromFile
from .sample_seed import SeedBySample

__all__ = [
    'DetectionInstruction', 'GroundingInstruction', 'LoadImageFromFile', 'PackInstructionInputs', 'SeedBySample',
    'SegmentationInstruction'
]
