"""Finds picture files under the names that exporters give them, and reads their sizes."""

import os
import unicodedata
import warnings
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

import cv2
from PIL import ExifTags, Image

_READ_BY_OPENCV = ('JPEG', 'MPO', 'PNG', 'BMP')  # of the others, OpenCV reads some variants


class PictureFolder:
    """The pictures of a data set.

    Args:
        path: folder that the names of the annotation file are relative to.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def find(self, name: str) -> Path | None:
        """The file that a name means, also in other spellings; None: there is none.

        Tried are the name as it is; with backslashes as slashes, ``%20`` decoded, blanks at the ends left out; without
        its first folders; in other forms of Unicode; and last with other cases of letters, where one file alone fits.

        Args:
            name: ``file_name`` of an image.
        """
        if '\0' in name:
            return None
        try:
            if (self.path / name).is_file():
                return self.path / name
        except OSError:  # a name that is too long
            return None
        tails = list(_tails(name))
        for tail in tails:
            if _fold(tail, case=False) in self._by_name:
                return self.path / self._by_name[_fold(tail, case=False)]
        for tail in tails:
            if len(found := self._by_folded_name[_fold(tail)]) == 1:
                return self.path / found[0]
        return None

    def name(self, path: Path) -> str:
        """The name of a file that was found, relative to the folder where it lies below it."""
        return path.relative_to(self.path).as_posix() if path.is_relative_to(self.path) else str(path)

    @cached_property
    def _files(self) -> list[str]:
        """Paths of all files below the folder, relative to it, with slashes."""
        found = []
        for folder, _, names in os.walk(self.path):
            inside = Path(folder).relative_to(self.path)
            # No pipes, which would be waited for.
            found += [(inside / name).as_posix() for name in names if os.path.isfile(os.path.join(folder, name))]
        return found

    @cached_property
    def _by_name(self) -> dict[str, str]:
        return {_fold(name, case=False): name for name in self._files}

    @cached_property
    def _by_folded_name(self) -> defaultdict[str, list[str]]:
        found = defaultdict(list)
        for name in self._files:
            found[_fold(name)].append(name)
        return found


def _fold(name: str, case: bool = True) -> str:
    name = unicodedata.normalize('NFC', name)
    return name.casefold() if case else name


def _parts_of_address(name: str) -> list[str]:
    """Path and query of an address: Label Studio writes ``/data/local-files/?d=folder/a.png``."""
    path, mark, query = name.partition('?')
    return [path, query.rpartition('=')[2]] if mark else []


def _tails(name: str) -> Iterator[str]:
    """The spellings of a name, each whole and without its first folders, longest first."""
    slashes = name.replace('\\', '/')
    for spelling in dict.fromkeys([slashes, unquote(slashes), *_parts_of_address(unquote(slashes))]):
        stripped = '/'.join(part.strip() for part in spelling.split('/'))
        for text in dict.fromkeys([spelling, stripped]):
            parts = [part for part in PurePosixPath(text).parts if part not in ('/', '.', '..')]
            yield from ('/'.join(parts[start:]) for start in range(len(parts)))


def shown_size(path: Path) -> tuple[tuple[int, int], bool]:
    """Width and height in px of a picture as it is loaded for training, and whether EXIF data turn it by 90 degrees.

    It reads the header alone.

    Args:
        path: the file.

    Raises:
        ValueError: what is wrong with the file, without its name.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of large pictures and odd EXIF data
            with Image.open(path) as image:
                size, kind = image.size, image.format
                orientation = image.getexif().get(ExifTags.Base.Orientation, 1) if 'exif' in image.info else 1
    except Image.DecompressionBombError as error:
        raise ValueError('too large: it has too many pixels') from error
    except Exception as error:  # whatever a damaged header leads PIL to
        raise ValueError(_describe(path)) from error
    if kind not in _READ_BY_OPENCV and not cv2.haveImageReader(str(path)):
        raise ValueError(f'of the format {kind}, which OpenCV does not read')
    turned = orientation in (5, 6, 7, 8)
    if turned and kind not in ('JPEG', 'MPO'):  # OpenCV heeds it in some formats
        loaded = cv2.imread(str(path))
        turned = loaded is not None and loaded.shape[1::-1] == size[::-1] != size
    return (size[::-1] if turned else size), turned


def _describe(path: Path) -> str:
    """What a file is that PIL can't open."""
    try:
        with path.open('rb') as file:
            start = file.read(32)
    except OSError:
        return 'not readable'
    if not start:
        return 'empty (0 bytes)'
    if start[4:8] == b'ftyp':
        return 'of a format of telephones (HEIC, AVIF) or videos'
    is_picture = start.startswith((b'\xff\xd8', b'\x89PNG', b'BM', b'RIFF', b'II*', b'MM\0*', b'GIF8'))
    return 'damaged' if is_picture else 'no picture'
