"""Checks the images of an annotation file against their picture files."""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import cv2

from ..transforms.loading import LoadImageFromFile
from .picture_files import PictureFolder, shown_size
from .report import ERROR, LEFT_OUT, NOTE, Report, with_value
from .values import Ids, as_number, id_key, shorten

LARGEST_ASPECT = 100
"""Where a side is longer by more, the other would have no pixel left after resizing."""


@dataclass
class Images:
    """Images of a file.

    Attributes:
        ids: numbers of all images, also of those that are left out.
        used: entries of those that are used, by number, with right sizes and file names.
        paths: their files.
    """

    ids: Ids
    used: dict[int, dict] = field(default_factory=dict)
    paths: dict[int, Path] = field(default_factory=dict)


def check_images(entries: list[dict], folder: str | Path, report: Report, decode: bool = False) -> Images:
    """Finds the picture of every image and compares its size.

    Args:
        entries: ``images`` of the file.
        folder: folder of the pictures.
        report: takes what is found.
        decode: whether every picture is read as a whole; it takes some 10 ms each.
    """
    keys = [id_key(entry.get('id')) for entry in entries]
    images = Images(Ids(key for key in keys if key is not None))
    _check_ids(entries, keys, images, report)
    if not Path(folder).is_dir():
        report.add(ERROR, '', f'the folder of its pictures is missing: {folder}', '', 'Put them there')
        return images
    pictures, names_of_file = PictureFolder(folder), defaultdict(dict)
    for index, (entry, key) in enumerate(zip(entries, keys, strict=True)):
        if key is None:
            first = with_value(f'image {index} of the list', 'id', entry.get('id'))
            report.add(LEFT_OUT, 'image', 'without an id', first, 'Number them')
            continue
        number = images.ids.find(key)
        path = _find_file(entry, key, pictures, report)
        if number in images.used or path is None:
            continue
        size = _check_picture(entry, f'image {key} ({shorten(path.name)})', path, report, decode)
        if size is not None:
            images.used[number] = entry | dict(id=number, file_name=pictures.name(path), width=size[0], height=size[1])
            images.paths[number] = path
            names_of_file[path][number] = entry['file_name']
    for path, names in names_of_file.items():
        if len(names) > 1:
            _check_shared_file(images, path, names, pictures.name(path), report)
    if not images.used:
        report.add_nothing_left('image', len(entries))
    return images


def _check_shared_file(images: Images, path: Path, names: dict[int, str], own_name: str, report: Report) -> None:
    """Leaves out those of the images with one file that name another one, which is not there."""
    numbers = list(names)
    if len(set(names.values())) > 1:
        for number in [number for number in numbers if names[number] != own_name]:
            numbers.remove(number)
            del images.used[number], images.paths[number]
            first = f'image {number}: {shorten(names[number])}; {own_name} is the file of another'
            report.add(LEFT_OUT, 'image', 'whose file is missing: one of like name belongs to another image', first)
    if len(numbers) > 1:
        first = f'images {numbers[0]} and {numbers[1]}: {shorten(path.name)}'
        report.add(NOTE, 'file', 'listed as several images', first, 'Merge these entries')


def _check_ids(entries: list[dict], keys: list, images: Images, report: Report) -> None:
    seen = {}
    for entry, key in zip(entries, keys, strict=True):
        number = images.ids.find(key)
        if number is not None and seen.setdefault(number, entry) is not entry:
            names = shorten(seen[number].get('file_name')), shorten(entry.get('file_name'))
            remedy = 'Give every image an id of its own, and the annotations with it'
            report.add(ERROR, 'image', 'with an id that another has', f'image {key}: {names[0]} and {names[1]}', remedy)
    if not images.ids.are_numbers and seen:
        first = shorten(next(key for key in keys if not isinstance(key, int) or key != images.ids.find(key)))
        report.add(NOTE, '', 'the ids of the images are texts or too large: they are numbered', first)
    elif texts := [entry['id'] for entry in entries if isinstance(entry.get('id'), str)]:
        report.add(NOTE, '', 'the ids of images are read as numbers', shorten(texts[0]))


def _find_file(entry: dict, key: int | str, pictures: PictureFolder, report: Report) -> Path | None:
    name, subject = entry.get('file_name'), f'image {key}'
    if not isinstance(name, str) or not name.strip():
        report.add(LEFT_OUT, 'image', 'without a file name', with_value(subject, 'file_name', name))
        return None
    path = pictures.find(name)
    if path is None:
        first = f'{subject}: no file {shorten(name)} in {pictures.path}'
        if '://' in name:
            reason, remedy = 'named by a web address', f'Download the pictures into {pictures.path}'
        else:
            reason = 'whose file is missing'
            remedy = (
                f'Put them into {pictures.path}, or write file_name as it is there; other slashes, %20, '
                'folders in front and cases of letters were tried'
            )
        report.add(LEFT_OUT, 'image', reason, first, remedy)
    elif path != pictures.path / name:
        first = f'{subject}: {shorten(name)} is {pictures.name(path)}'
        report.add(NOTE, 'image', 'found under another spelling of the name', first)
    return path


def _check_picture(entry: dict, subject: str, path: Path, report: Report, decode: bool) -> tuple[int, int] | None:
    """Width and height of an image; None: it can't be used."""
    try:
        size, turned = shown_size(path)
    except ValueError as error:
        remedy = 'Convert them to JPEG or PNG, or copy them again'
        report.add(LEFT_OUT, 'image', f'whose file is {error}', subject, remedy)
        return None
    stated = as_number(entry.get('width')), as_number(entry.get('height'))
    known = [(side, real) for side, real in zip(stated, size, strict=True) if side is not None and side > 0]
    if len(known) < 2 and all(side == real for side, real in known):
        first = f'{subject}: {shorten(entry.get("width"))} x {shorten(entry.get("height"))}'
        report.add(NOTE, 'image', 'without a usable width or height: taken from the file', first)
    elif stated != size:
        return _leave_out_other_size(subject, stated, size, turned, path, report)
    if max(size) > LARGEST_ASPECT * min(size):
        first, remedy = f'{subject}: {size[0]} x {size[1]} px', 'Cut them into pieces'
        report.add(LEFT_OUT, 'image', 'too narrow: the short side would vanish when resized', first, remedy)
        return None
    if decode:
        try:
            LoadImageFromFile()(dict(img_path=str(path)))
        except (ValueError, OSError, cv2.error) as error:
            remedy = 'Training would stop there: copy them again, or take them out of the file'
            report.add(ERROR, 'image', 'that can not be decoded', f'{subject}: {str(error)[:200]}', remedy)
            return None
    return size


def _leave_out_other_size(
    subject: str,
    stated: tuple[float | None, float | None],
    size: tuple[int, int],
    turned: bool,
    path: Path,
    report: Report,
) -> None:
    sides = ' x '.join('?' if side is None else f'{side:g}' for side in stated)
    first = f'{subject}: {sides} in the annotations, {size[0]} x {size[1]} px in the file'
    reason, remedy = 'of another size than the file', 'Annotate the pictures as they are, or scale the boxes'
    if stated == size[::-1]:
        reason = 'whose width and height are exchanged'
        if turned:
            first += ' as its EXIF orientation shows it'
        remedy = 'The picture was turned: save it without EXIF orientation as it was annotated, or turn the boxes'
    report.add(LEFT_OUT, 'image', reason, first, remedy, path=path)
