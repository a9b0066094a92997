"""Pipeline transforms that mmdet lacks."""

from .instructions import DetectionInstruction, PackInstructionInputs
from .loading import LoadImageFromFile
from .sample_seed import SeedBySample

__all__ = ['DetectionInstruction', 'LoadImageFromFile', 'PackInstructionInputs', 'SeedBySample']
