"""Class names of an annotation file."""

import json
from pathlib import Path


def read_class_names(ann_file: str | Path) -> tuple[str, ...]:
    """Names of the categories of a COCO-format file, in the order in which mmdet numbers them.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when the file is no COCO-format JSON, or lists no category or one name twice.
    """
    path = Path(ann_file)
    if not path.is_file():
        raise FileNotFoundError(f'annotation file {path} does not exist: DATA_ROOT must name a folder with train.json, '
                                'train/, val.json and val/ in COCO format')
    try:
        names = tuple(category['name'] for category in json.loads(path.read_text())['categories'])
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f'{path} is no COCO-format annotation file: {type(error).__name__}: {error}') from error
    if not names:
        raise ValueError(f'{path} lists no categories')
    if len(set(names)) < len(names):
        raise ValueError(f'{path} lists a category name twice: {sorted(n for n in set(names) if names.count(n) > 1)}')
    return names
