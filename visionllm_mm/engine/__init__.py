"""Training machinery: hooks, loops, optimizer groups and averaged weights."""

from .averaged_model import TrainedPartsEMA
from .hooks import (
    CheckClassNamesHook,
    OptimizerFileHook,
    SampleSeedHook,
    TolerantVisualizationHook,
)
from .loops import MultiTaskTestLoop
from .optim_wrapper_constructor import TrainedPartsOptimWrapperConstructor
from .tolerant_loops import TolerantTestLoop, TolerantValLoop

__all__ = [
    'CheckClassNamesHook',
    'MultiTaskTestLoop',
    'OptimizerFileHook',
    'SampleSeedHook',
    'TolerantTestLoop',
    'TolerantValLoop',
    'TolerantVisualizationHook',
    'TrainedPartsEMA',
    'TrainedPartsOptimWrapperConstructor',
]
