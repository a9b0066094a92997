"""Runner hooks that mmengine and mmdet lack."""

from .class_names_hook import CheckClassNamesHook
from .optimizer_file_hook import OptimizerFileHook
from .sample_seed_hook import SampleSeedHook
from .visualization_hook import TolerantVisualizationHook

__all__ = [
    'CheckClassNamesHook',
    'OptimizerFileHook',
    'SampleSeedHook',
    'TolerantVisualizationHook',
]
