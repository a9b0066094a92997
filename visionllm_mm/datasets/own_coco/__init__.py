"""Own data in COCO format: what can be read is read, the rest is counted or refused, nothing is lost silently."""

from .check import CheckedFile, check_content, check_file, class_names, load_checked
from .coco_api import CheckedCoco
from .dataset import OwnCocoDataset, own_datasets
from .report import Report

__all__ = [
    'CheckedCoco',
    'CheckedFile',
    'OwnCocoDataset',
    'Report',
    'check_content',
    'check_file',
    'class_names',
    'load_checked',
    'own_datasets',
]
