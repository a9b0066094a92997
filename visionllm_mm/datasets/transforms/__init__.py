"""Pipeline transforms that mmdet lacks."""

from .instructions import DetectionInstruction, PackInstructionInputs
from .sample_seed import SeedBySample

__all__ = ['DetectionInstruction', 'PackInstructionInputs', 'SeedBySample']
