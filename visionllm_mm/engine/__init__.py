"""Training machinery: hooks, loops, optimizer groups and averaged weights."""

from .averaged_model import TrainedPartsEMA
from .hooks import (
    CheckClassNamesHook,
    OptimizerFileHook,
    ReportFailuresHook,
    SampleSeedHook,
    TolerantVisualizationHook,
)
from .loops import MultiTaskTestLoop
from .optim_wrapper_constructor import TrainedPartsOptimWrapperConstructor

__all__ = [
    'CheckClassNamesHook',
    'MultiTaskTestLoop',
    'OptimizerFileHook',
    'ReportFailuresHook',
    'SampleSeedHook',
    'TolerantVisualizationHook',
    'TrainedPartsEMA',
    'TrainedPartsOptimWrapperConstructor',
]
