"""Training machinery: hooks."""

from .hooks import CheckClassNamesHook, SampleSeedHook, TextWarmupHook

__all__ = ['CheckClassNamesHook', 'SampleSeedHook', 'TextWarmupHook']
