"""Runner hooks that mmengine and mmdet lack."""

from .class_names_hook import CheckClassNamesHook
from .description_warmup_hook import DescriptionWarmupHook
from .format_warmup_hook import FormatWarmupHook
from .report_failures_hook import ReportFailuresHook
from .sample_seed_hook import SampleSeedHook
from .text_warmup_hook import TextWarmupHook
from .visualization_hook import TolerantVisualizationHook

__all__ = ['CheckClassNamesHook', 'DescriptionWarmupHook', 'FormatWarmupHook', 'ReportFailuresHook', 'SampleSeedHook',
           'TextWarmupHook', 'TolerantVisualizationHook']
