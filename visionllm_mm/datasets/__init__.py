"""Data sets, transforms and samplers that mmdet lacks."""

from .captions import CaptionDataset
from .coco_classes import epochs_for, read_class_names
from .conversations import ConversationDataset
from .keypoints import KeypointCocoDataset, LoadKeypoints
from .own_coco import OwnCocoDataset
from .samplers import OneTaskSampler
from .text_datasets import ReferringExpressionDataset
from .transforms import (
    AddPolygons,
    CaptionInstruction,
    DetectionInstruction,
    GroundingInstruction,
    KeypointInstruction,
    LoadKnownMasks,
    PackInstructionInputs,
    QuestionInstruction,
    RandomFlipWithWords,
    ScrambleInstruction,
    SeedBySample,
    SegmentationInstruction,
)

__all__ = [
    'AddPolygons',
    'CaptionDataset',
    'CaptionInstruction',
    'ConversationDataset',
    'DetectionInstruction',
    'GroundingInstruction',
    'KeypointCocoDataset',
    'KeypointInstruction',
    'LoadKeypoints',
    'LoadKnownMasks',
    'OneTaskSampler',
    'OwnCocoDataset',
    'PackInstructionInputs',
    'QuestionInstruction',
    'RandomFlipWithWords',
    'ReferringExpressionDataset',
    'ScrambleInstruction',
    'SeedBySample',
    'SegmentationInstruction',
    'epochs_for',
    'read_class_names',
]
