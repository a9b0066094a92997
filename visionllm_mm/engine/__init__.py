"""Training machinery: hooks, loops, optimizer groups and averaged weights."""

from .averaged_model import TrainedPartsEMA
from .hooks import (
    CheckClassNamesHook,
    DescriptionWarmupHook,
    FormatWarmupHook,
    SampleSeedHook,
    TextWarmupHook,
)
from .loops import MultiTaskTestLoop
from .optim_wrapper_constructor import TrainedPartsOptimWrapperConstructor

__all__ = ['CheckClassNamesHook', 'DescriptionWarmupHook', 'FormatWarmupHook', 'MultiTaskTestLoop', 'SampleSeedHook',
           'TextWarmupHook', 'TrainedPartsEMA', 'TrainedPartsOptimWrapperConstructor']
