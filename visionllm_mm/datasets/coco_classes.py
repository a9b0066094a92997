"""Class names of annotation files, and the data sets inside of wrappers."""

from collections.abc import Iterator
from pathlib import Path

from torch.utils.data import Dataset

from .json_file import read_json
from .own_coco import OwnCocoDataset, class_names


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
        ValueError: when the file is no COCO-format JSON, lists no category, a name that can't be asked for, or a name
            twice with objects of both.
    """
    path = Path(ann_file)
    if not path.exists():
        raise FileNotFoundError(
            f'annotation file {path} does not exist: DATA_ROOT must name a folder with train.json, '
            'train/, val.json and val/ in COCO format'
        )
    return class_names(read_json(path), path)


def epochs_for(ann_file: str | Path, samples: int, samples_with_names: int, fewest: int, most: int) -> int:
    """Epochs in which a training sees about so many samples, whatever the size of its data.

    Args:
        ann_file: path of a COCO-format file.
        samples: samples of the whole training where there is one class.
        samples_with_names: samples where there are several, whose names are to be learned, too.
        fewest: least number of epochs.
        most: largest number of epochs.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it can't be read, lists no images, or for the reasons of :func:`read_class_names`.
    """
    content = read_json(ann_file)
    images = content.get('images') if isinstance(content, dict) else None
    if not isinstance(images, list) or not images:
        raise ValueError(f'{ann_file} lists no "images": it is no annotation file in COCO format')
    if len(class_names(content, Path(ann_file))) > 1:
        samples = samples_with_names
    return min(most, max(fewest, round(samples / len(images))))


def report_lines(dataset: Dataset) -> list[str]:
    """Lines about what of the annotation files of own data is used and left out; none about other data sets.

    Args:
        dataset: a data set, also a wrapped one.
    """
    parts = [part for part in plain_datasets(dataset) if isinstance(part, OwnCocoDataset)]
    for part in parts:
        part.full_init()  # where the config delays it
    return [line for part in parts for line in part.report.lines()]


def has_class_names(dataset: Dataset) -> bool:
    """Whether a data set that wraps no other has class names and a JSON file to compare them with."""
    return str(getattr(dataset, 'ann_file', '')).endswith('.json') and 'classes' in dataset.metainfo


def compare_class_names(dataset: Dataset) -> None:
    """Compares the class names of COCO-format data sets, also of wrapped ones, with their annotation files.

    Args:
        dataset: a data set; other formats are skipped, and so is :class:`OwnCocoDataset`, which reads classes by name.

    Raises:
        ValueError: when names are not in the file, or are in another order.
    """
    for part in filter(has_class_names, plain_datasets(dataset)):
        if isinstance(part, OwnCocoDataset):
            continue
        names, in_file = list(part.metainfo['classes']), list(read_class_names(part.ann_file))
        if [name for name in in_file if name in names] != names:
            missing = [name for name in names if name not in in_file]
            problem = f'{missing} are not in it' if missing else 'they stand in another order'
            raise ValueError(
                f'the classes {names} of the data set do not match {part.ann_file}: {problem}. Its '
                f'categories are {in_file}: set metainfo=dict(classes=...) to these, in this order'
            )
