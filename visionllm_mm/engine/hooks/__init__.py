"""Runner hooks that mmengine and mmdet lack."""

from .class_names_hook import CheckClassNamesHook
from .description_warmup_hook import DescriptionWarmupHook
from .format_warmup_hook import FormatWarmupHook
from .optimizer_file_hook import OptimizerFileHook
from .report_failures_hook import ReportFailuresHook
from .sample_seed_hook import SampleSeedHook
from .text_warmup_hook import TextWarmupHook
from .visualization_hook import TolerantVisualizationHook

__all__ = ['CheckClassNamesHook', 'DescriptionWarmupHook', 'FormatWarmupHook', 'OptimizerFileHook',
           'ReportFailuresHook', 'SampleSeedHook', 'TextWarmupHook', 'TolerantVisualizationHook']
