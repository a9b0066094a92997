"""Checks an annotation file of own data in COCO format; what it returns is what is trained on."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ..json_file import read_json
from .annotations import AnnotationCheck
from .categories import Categories, check_categories, match_classes
from .images import Images, check_images
from .layout import check_layout
from .report import NOTE, Report
from .values import Ids, id_key


@dataclass
class CheckedFile:
    """An annotation file after the check.

    Attributes:
        content: ``images``, ``annotations`` and ``categories`` as pycocotools and mmdet take them: what is used.
        report: what was repaired, left out and refused. ``content`` counts only where it has no errors.
        images: the images with the paths of their files.
    """

    content: dict[str, list[dict]]
    report: Report
    images: Images


def check_content(
    content: object,
    file: str | Path,
    folder: str | Path,
    *,
    classes: Sequence[str] | None = None,
    with_masks: bool = False,
    decode: bool = False,
) -> CheckedFile:
    """Checks the content of an annotation file, see docs/finetune.md for the rules.

    Args:
        content: the parsed JSON.
        file: its file, for messages.
        folder: folder of its pictures.
        classes: class names of the data set, in the order of their labels; None: those of the file.
        with_masks: whether outlines (``segmentation``) are wanted.
        decode: whether every picture is read as a whole, which takes some 10 ms each; else its header alone.
    """
    report = Report(str(file))
    lists = check_layout(content, report)
    empty = dict(images=[], annotations=[], categories=[])
    images = Images(Ids([]))
    if lists is None:
        return CheckedFile(empty, report, images)
    categories, dropped = _read_categories(lists, report, classes)
    images = check_images(lists['images'], folder, report, decode)
    annotations = []
    if images.used:
        annotations = AnnotationCheck(images, categories, dropped, report, with_masks).run(lists['annotations'])
    if report.errors:
        return CheckedFile(empty, report, images)
    report.num_images = len(images.used)
    _count_empty_images(images, annotations, report)
    found = dict(images=list(images.used.values()), annotations=annotations, categories=list(categories.used.values()))
    return CheckedFile(found, report, images)


def check_file(file: str | Path, folder: str | Path, **options: object) -> CheckedFile:
    """Reads and checks an annotation file.

    Args:
        file: path of the file.
        folder: folder of its pictures.
        options: see :func:`check_content`.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it can't be read; all other faults are errors of the report.
    """
    return check_content(read_json(file), file, folder, **options)


def load_checked(
    file: str | Path, folder: str | Path, *, classes: Sequence[str] | None = None, with_masks: bool = False
) -> CheckedFile:
    """:func:`check_file` for training and testing: refuses files with errors, and checks an unchanged file once.

    Args:
        file: path of the file.
        folder: folder of its pictures.
        classes: see :func:`check_content`.
        with_masks: see :func:`check_content`.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it can't be read or has errors.
    """
    stamps = hash(frozenset([*_stamps(Path(file)), *_stamps(Path(folder))]))
    checked = _check_once(str(Path(file)), str(Path(folder)), classes and tuple(classes), with_masks, stamps)
    checked.report.stop_on_errors()
    return checked


@lru_cache(maxsize=4)
def _check_once(file: str, folder: str, classes: tuple[str, ...] | None, with_masks: bool, stamps: int) -> CheckedFile:
    return check_file(file, folder, classes=classes, with_masks=with_masks)


def _stamps(path: Path) -> Iterator[tuple]:
    """Names, times and sizes of a file, or of the files below a folder."""
    for each in path.rglob('*') if path.is_dir() else [path]:
        if each.exists():
            status = each.stat()
            yield each, status.st_mtime_ns, status.st_size


def class_names(content: object, file: str | Path) -> tuple[str, ...]:
    """Class names of an annotation file, in the order of their labels.

    Args:
        content: the parsed JSON.
        file: its file, for messages.

    Raises:
        ValueError: when it is no COCO-format annotation file, or a category can't be used.
    """
    report = Report(str(file))
    if isinstance(content, dict) and 'categories' in content:  # COCO's files of test images have no annotations
        content = dict(images=[], annotations=[]) | content
    lists = check_layout(content, report)
    names = () if lists is None else _read_categories(lists, report, None)[0].names
    report.stop_on_errors()
    return names


def _read_categories(
    lists: dict[str, list[dict]], report: Report, classes: Sequence[str] | None
) -> tuple[Categories, set[int]]:
    """The categories that are used, and the numbers of those that the classes leave out."""
    counts = Counter(id_key(entry.get('category_id')) for entry in lists['annotations'])
    categories = check_categories(lists['categories'], counts, report)
    if classes is None or report.errors:
        return categories, set()
    matched = match_classes(categories, classes, counts, report)
    return matched, set(categories.used) - set(matched.used)


def _count_empty_images(images: Images, annotations: list[dict], report: Report) -> None:
    with_objects = {annotation['image_id'] for annotation in annotations}
    empty = [number for number in images.used if number not in with_objects]
    if empty:
        reason = 'without an object: trained on and tested as empty'
        first = f'image {empty[0]}: {images.paths[empty[0]].name[:60]}'
        report.add_many(NOTE, 'image', reason, len(empty), first)
