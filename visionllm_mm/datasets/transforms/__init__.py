"""Pipeline transforms that mmdet lacks."""

from .loading import LoadImageFromFile
from .packing import PackInstructionInputs
from .sample_seed import SeedBySample
from .set_instructions import (
    DetectionInstruction,
    GroundingInstruction,
    SegmentationInstruction,
)
from .word_instructions import CaptionInstruction, QuestionInstruction

__all__ = [
    'CaptionInstruction', 'DetectionInstruction', 'GroundingInstruction', 'LoadImageFromFile', 'PackInstructionInputs',
    'QuestionInstruction', 'SeedBySample', 'SegmentationInstruction'
]
