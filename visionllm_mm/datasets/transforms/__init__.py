"""Pipeline transforms that mmdet lacks."""

from .flip_with_words import RandomFlipWithWords
from .loading import LoadImageFromFile
from .masks import LoadKnownMasks
from .packing import PackInstructionInputs
from .polygons import AddPolygons
from .resizing import Resize
from .sample_seed import SeedBySample
from .scramble import ScrambleInstruction
from .set_instructions import (
    DetectionInstruction,
    GroundingInstruction,
    KeypointInstruction,
    SegmentationInstruction,
)
from .text_instructions import CaptionInstruction, QuestionInstruction

__all__ = [
    'AddPolygons',
    'CaptionInstruction',
    'DetectionInstruction',
    'GroundingInstruction',
    'KeypointInstruction',
    'LoadImageFromFile',
    'LoadKnownMasks',
    'PackInstructionInputs',
    'QuestionInstruction',
    'RandomFlipWithWords',
    'Resize',
    'ScrambleInstruction',
    'SeedBySample',
    'SegmentationInstruction',
]
