"""Names of the files that are made of images, and what may be wrong with the names of images that are missing."""

import os
import re
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

_COLOR_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')


def is_url(path: str) -> bool:
    """Whether a path names a place in another storage, such as https://host/a.png."""
    return bool(re.match(r'[\w+.-]+://', path))


def below_common_folder(paths: Sequence[str]) -> list[str]:
    """Paths below the folder that all of them share; where all lie in one folder these are names of files.

    Files that are named so overwrite each other only where they are made of the same image.

    Args:
        paths: files or URLs.

    Returns:
        One path per file, with slashes.
    """
    whole = [os.path.abspath('/' + path.split('://')[1] if is_url(path) else path) for path in paths]
    folder = _common_folder(whole)
    return [Path(os.path.relpath(path, folder)).as_posix() for path in whole]


def _common_folder(paths: Sequence[str]) -> str:
    """The folder that all files share, absolute; the working directory where there are no files."""
    return os.path.commonpath({os.path.dirname(path) for path in paths} or {os.getcwd()})


def without_suffixes(names: Sequence[str]) -> list[str]:
    """Names without their suffixes; with them where two names differ by the suffix alone."""
    stems = [str(PurePosixPath(name).with_suffix('')) for name in names]
    return stems if len(set(stems)) == len(set(names)) else list(names)


def picture_names(names: Sequence[str]) -> list[str]:
    """Names of rendered pictures: those of the images, with .png behind them where a format has no colors or no suffix.

    Args:
        names: of the images; different ones get different names.
    """
    drawn = [name if PurePosixPath(name).suffix.lower() in _COLOR_SUFFIXES else f'{name}.png' for name in names]
    return drawn if len(set(drawn)) == len(set(names)) else [f'{name}.png' for name in names]


def why_missing(path: str) -> str:
    """What may be wrong with the name of a missing file, behind ': '; an empty string where nothing is known.

    Args:
        path: of the missing file.
    """
    if '://' in path and not is_url(path):
        return ': its name is a URL behind a folder. Download the file, and name it by its path below the folder'
    noticed, name = [], path
    for what, mend, is_always_wrong in _MENDS:
        mended = mend(name)
        if mended != name:
            noticed += [what] if is_always_wrong else []
            name = mended
        if name != path and Path(name).is_file():
            return f': there is {name}. The names differ by {what}'
    similar = _same_letters(name)
    if similar:
        return f': there is {similar}. The names differ by {" and ".join([*noticed, "the case or form of letters"])}'
    return f': its name has {" and ".join(noticed)}' if noticed else ''


def _without_repeated_folder(path: str) -> str:
    parts = Path(path).parts
    return str(Path(*(part for part, before in zip(parts, ('', *parts), strict=False) if part != before)))


def _without_blanks(path: str) -> str:
    return '/'.join(part.strip() for part in path.split('/'))


# What is changed, how, and whether it is a mistake wherever it is found. They are made one after the other.
_MENDS: tuple[tuple[str, Callable[[str], str], bool], ...] = (
    ('backslashes instead of slashes', lambda path: path.replace('\\', '/'), True),
    ('codes of a URL such as %20', unquote, True),
    ('blanks at the end', _without_blanks, True),
    ('a folder that is written twice', _without_repeated_folder, False),
)


def _same_letters(path: str) -> str:
    """A file beside the path whose name has the same letters, in another case or another Unicode form."""

    def fold(name: str) -> str:
        return unicodedata.normalize('NFC', name).casefold()

    folder = Path(path).parent
    if not folder.is_dir():
        return ''
    with os.scandir(folder) as entries:
        return next((entry.path for entry in entries if fold(entry.name) == fold(Path(path).name)), '')
