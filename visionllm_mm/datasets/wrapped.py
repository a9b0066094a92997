"""Data sets inside of mmengine's wrappers."""

from collections.abc import Iterator

from torch.utils.data import Dataset


def plain_datasets(dataset: Dataset) -> Iterator[Dataset]:
    """The data sets that a ConcatDataset, a RepeatDataset or the like is made of, at any depth; else the one given."""
    inner = getattr(dataset, 'datasets', None) or [part for part in [getattr(dataset, 'dataset', None)] if part]
    if not inner:
        yield dataset
    for part in inner:
        yield from plain_datasets(part)
