"""Values as exporters write them: numbers and ids also as text, flags in several forms."""

import math
import re
import reprlib
from collections.abc import Iterable, Mapping

_NUMBER = re.compile(r'\s*[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?\s*', re.IGNORECASE | re.ASCII)
_LARGEST_ID = 2**53
"""NumPy may turn larger ids into floats, which no longer tell them apart."""

_REPR = reprlib.Repr()
_REPR.maxlist, _REPR.maxdict, _REPR.maxstring, _REPR.maxother, _REPR.maxlevel, _REPR.maxlong = 8, 4, 60, 60, 2, 40


def shorten(value: object) -> str:
    """A value as messages show it."""
    return _REPR.repr(value)


def as_number(value: object) -> float | None:
    """A finite number, also one written as text; None for anything else."""
    if isinstance(value, str):
        if len(value) > 100 or not _NUMBER.fullmatch(value):
            return None
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def as_flag(value: object) -> bool | None:
    """A flag such as ``iscrowd``, also as text; a missing one is False, None: it can't be read as a flag."""
    if isinstance(value, str):
        value = value.strip().lower()
    if value is None or value in ('', '0', 'false', 'no') or value is False or value == 0:
        return False
    return True if value in ('1', 'true', 'yes') or value is True or value == 1 else None


def id_key(value: object) -> int | str | None:
    """An id in a form that is equal for 7, 7.0 and '7'; None for what is no id."""
    if isinstance(value, str):
        text = value.strip()
        is_plain = len(text) < 20 and re.fullmatch(r'-?(0|[1-9]\d*)', text, re.ASCII)
        return int(text) if is_plain else text or None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value


class Ids:
    """Numbers that stand for the ids of a list of entries.

    Ids that are numbers stay as they are. Where one is another text, or too large for NumPy, all entries are numbered
    from 1 on.

    Args:
        keys: ids of all entries, see :func:`id_key`.
    """

    def __init__(self, keys: Iterable[int | str]) -> None:
        keys = list(dict.fromkeys(keys))
        self.are_numbers = all(isinstance(key, int) and abs(key) < _LARGEST_ID for key in keys)
        self._numbers: Mapping[int | str, int] = {
            key: key if self.are_numbers else position for position, key in enumerate(keys, 1)
        }
        # "007" is an id of its own, and yet what a reference to 7 means where there is no other 7.
        self._padded = {int(key): key for key in keys if isinstance(key, str) and key.isdecimal() and len(key) < 20}

    def find(self, key: int | str | None) -> int | None:
        """The number of the entry that a reference means; None: there is no such entry."""
        if key in self._numbers:
            return self._numbers[key]
        if isinstance(key, str) and key.isdecimal() and len(key) < 20:
            key = int(key)
        return self._numbers.get(self._padded.get(key, key))
