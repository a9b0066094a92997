"""Class names of annotation files, and the data sets inside of wrappers."""

import json
from collections.abc import Iterator
from pathlib import Path

from torch.utils.data import Dataset


def plain_datasets(dataset: Dataset) -> Iterator[Dataset]:
    """The data sets inside a ConcatDataset, a RepeatDataset or the like, at any depth; else the data set itself."""
    parts = getattr(dataset, 'datasets', None) or [part for part in [getattr(dataset, 'dataset', None)] if part]
    if not parts:
        yield dataset
    for part in parts:
        yield from plain_datasets(part)


def read_class_names(ann_file: str | Path) -> tuple[str, ...]:
    """Category names of a COCO-format file, in the order in which mmdet numbers them.

    Args:
        ann_file: path of the file.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when the file is no COCO-format JSON, lists no category, or lists a name twice.
    """
    path = Path(ann_file)
    if not path.is_file():
        raise FileNotFoundError(
            f'annotation file {path} does not exist: DATA_ROOT must name a folder with train.json, '
            'train/, val.json and val/ in COCO format'
        )
    try:
        names = tuple(category['name'] for category in json.loads(path.read_text())['categories'])
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f'{path} is no COCO-format annotation file: {type(error).__name__}: {error}') from error
    if not names:
        raise ValueError(f'{path} lists no categories')
    if len(set(names)) < len(names):
        raise ValueError(f'{path} lists a category name twice: {sorted(n for n in set(names) if names.count(n) > 1)}')
    return names


def has_class_names(dataset: Dataset) -> bool:
    """Whether a data set that wraps no other has class names and a JSON file to compare them with."""
    return str(getattr(dataset, 'ann_file', '')).endswith('.json') and 'classes' in dataset.metainfo


def compare_class_names(dataset: Dataset) -> None:
    """Compares the class names of COCO-format data sets, also of wrapped ones, with their annotation files.

    Args:
        dataset: a data set; other formats are skipped.

    Raises:
        ValueError: when names are not in the file, or are in another order.
    """
    for part in filter(has_class_names, plain_datasets(dataset)):
        names, in_file = list(part.metainfo['classes']), list(read_class_names(part.ann_file))
        if [name for name in in_file if name in names] != names:
            missing = [name for name in names if name not in in_file]
            problem = f'{missing} are not in it' if missing else 'they stand in another order'
            raise ValueError(
                f'the classes {names} of the data set do not match {part.ann_file}: {problem}. Its '
                f'categories are {in_file}: set metainfo=dict(classes=...) to these, in this order'
            )
