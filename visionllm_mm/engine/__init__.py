"""Training machinery: hooks and loops."""

from .hooks import CheckClassNamesHook, SampleSeedHook, TextWarmupHook
from .loops import MultiTaskTestLoop

__all__ = ['CheckClassNamesHook', 'MultiTaskTestLoop', 'SampleSeedHook', 'TextWarmupHook']
