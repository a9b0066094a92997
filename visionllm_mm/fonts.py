"""Fonts for letters of any script: Matplotlib's, then those of the system; letters that none has are named once."""

import logging
import unicodedata
from functools import cache
from itertools import groupby
from pathlib import Path

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font
from mmengine.logging import print_log
from PIL import ImageFont

_BOX = '□'
_EAST_ASIAN = ('CJK', 'HIRAGANA', 'KATAKANA', 'HANGUL', 'BOPOMOFO', 'FULLWIDTH', 'IDEOGRAPHIC')
# Fonts of these kinds draw boxes for all letters, or pictures of one size.
_USELESS = ('lastresort', 'color')
_font_of: dict[str, str | None] = {}
"""Letter -> path of the font that draws it; None: no font here has it."""
_named_packages: set[str] = set()


def default_font() -> str:
    """The path of the font for letters that it has."""
    return font_manager.findfont(font_manager.FontProperties(family=['sans-serif']))


def drawable(text: str) -> str:
    """The text with a box for each letter that no font has; the log names the first such letters and a package.

    Args:
        text: in any script; combining marks are put onto their letters where Unicode has the whole letter.
    """
    text = unicodedata.normalize('NFC', text)
    unknown = [letter for letter in dict.fromkeys((*text, ' ', _BOX)) if letter not in _font_of]
    _font_of.update(_find_fonts(unknown))
    missing = [
        letter
        for letter in unknown
        if _draw_as(letter) == _BOX != letter and _package_of(letter) not in _named_packages
    ]
    if missing:
        print_log(_describe(missing), 'current', logging.WARNING)
        _named_packages.update(map(_package_of, missing))
    return ''.join(_draw_as(letter) for letter in text)


def families(text: str) -> list[str]:
    """Names of the fonts of a drawable text, as Matplotlib takes them: it looks for each letter in their order."""
    others = dict.fromkeys(map(_path_of, text))
    others.pop(default_font(), None)
    known = {entry.fname for entry in font_manager.fontManager.ttflist} if others else ()
    for path in others:
        if path not in known:
            font_manager.fontManager.addfont(path)
    return ['sans-serif', *(FT2Font(path).family_name for path in others)]


def runs(text: str, size: int) -> list[tuple[str, ImageFont.FreeTypeFont]]:
    """A drawable text in pieces of one font each, as PIL draws them.

    Args:
        text: the text.
        size: of the fonts, in px.
    """
    return [(''.join(letters), _load(path, size)) for path, letters in groupby(text, key=_path_of)]


_load = cache(ImageFont.truetype)


def _path_of(letter: str) -> str:
    return _font_of[letter] or default_font()


def _draw_as(letter: str) -> str:
    if _font_of[letter] is not None:
        return letter
    kind = unicodedata.category(letter)[0]  # C: control, such as joiners; Z: separators
    return {'C': '', 'Z': ' '}.get(kind, _BOX)


def _find_fonts(letters: list[str]) -> dict[str, str | None]:
    """The first font that has each letter; those of the system are read only where others lack one."""
    found, rest = {}, letters
    for path in (default_font(), *dict.fromkeys(filter(None, _font_of.values()))):
        rest = _take(path, rest, found)
    for path in _system_fonts() if any(unicodedata.category(letter)[0] not in 'CZ' for letter in rest) else ():
        rest = _take(path, rest, found)
    return found | dict.fromkeys(rest)


def _take(path: str, letters: list[str], found: dict[str, str | None]) -> list[str]:
    """Notes the letters that a font has, and returns the others."""
    if not letters:
        return []
    try:
        font = FT2Font(path)
    except (RuntimeError, OSError):  # no font, or of a form that Matplotlib can't draw
        return letters
    if not font.scalable:
        return letters
    found |= {letter: path for letter in letters if font.get_char_index(ord(letter))}
    return [letter for letter in letters if letter not in found]


@cache
def _system_fonts() -> tuple[str, ...]:
    """Upright sans-serif fonts first; Matplotlib's own list lacks those that were installed after it was made."""
    paths = [path for path in font_manager.findSystemFonts() if not any(k in Path(path).name.lower() for k in _USELESS)]
    return tuple(sorted(paths, key=lambda path: ('Regular' not in path, 'Sans' not in path, path)))


def _describe(letters: list[str]) -> str:
    shown = ' '.join(f'{letter} (U+{ord(letter):04X})' for letter in letters[:8])
    packages = dict.fromkeys(_package_of(letter) for letter in letters)
    return (
        f'no font here has {shown}{" ..." if len(letters) > 8 else ""}: such letters are drawn as {_BOX}. Install a '
        f'font that has them; in Debian and Ubuntu: apt install {" ".join(packages)}'
    )


def _package_of(letter: str) -> str:
    if unicodedata.name(letter, '').startswith(_EAST_ASIAN):
        return 'fonts-noto-cjk'
    return 'fonts-symbola' if unicodedata.category(letter) == 'So' else 'fonts-noto-core'
