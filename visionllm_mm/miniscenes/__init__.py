"""MiniScenes, the synthetic data set of this project (docs/miniscenes.md)."""

from .annotations import CATEGORIES, KEYPOINTS, SKELETON, Instance
from .examples import Example, make_example
from .vocabulary import COLORS, HELD_OUT_PAIRS, PAIRS, SHAPES, TRAIN_PAIRS
from .writer import (
    GENERATOR_VERSION,
    DatasetArguments,
    FolderInUseError,
    find_existing,
    write_dataset,
)

__all__ = [
    'CATEGORIES',
    'COLORS',
    'GENERATOR_VERSION',
    'HELD_OUT_PAIRS',
    'KEYPOINTS',
    'PAIRS',
    'SHAPES',
    'SKELETON',
    'TRAIN_PAIRS',
    'DatasetArguments',
    'Example',
    'FolderInUseError',
    'Instance',
    'find_existing',
    'make_example',
    'write_dataset',
]
