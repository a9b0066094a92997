"""Pipeline transforms that mmdet lacks."""

from .drawn_texts import DrawQuestions, DrawRelation
from .exchanged_words import ExchangeNames, RandomFlipWithWords
from .loading import LoadImageFromFile
from .outlines import AddOutlines
from .packing import PackInstructionInputs
from .sample_seed import SeedBySample
from .scramble_wording import ScrambleWording
from .set_instructions import (
    DetectionInstruction,
    GroundingInstruction,
    KeypointInstruction,
    SegmentationInstruction,
)
from .word_instructions import CaptionInstruction, QuestionInstruction

__all__ = [
    'AddOutlines', 'CaptionInstruction', 'DetectionInstruction', 'DrawQuestions', 'DrawRelation', 'ExchangeNames',
    'GroundingInstruction', 'KeypointInstruction', 'LoadImageFromFile', 'PackInstructionInputs', 'QuestionInstruction',
    'RandomFlipWithWords', 'ScrambleWording', 'SeedBySample', 'SegmentationInstruction'
]
