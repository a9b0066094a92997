"""Reads JSON files that other programs wrote; errors name the file and the remedy."""

import json
import re
from pathlib import Path

# What other files begin with -> what they are, and what to do.
_KNOWN_STARTS = (
    (rb'PK\x03\x04', 'a ZIP archive: unpack it'),
    (rb'\x1f\x8b', 'a gzip archive: unpack it'),
    (rb'version https://git-lfs', 'a pointer of Git LFS: `git lfs pull` fetches the file itself'),
    (rb'\s*<(!doctype\s+html|html)', 'a web page: download the file itself'),
    (rb'\s*<', 'XML (Pascal VOC is): convert it to COCO format'),
    (rb'\x89PNG|\xff\xd8\xff', 'a picture: name the annotation file'),
    (rb'\s*\d+([ \t]+-?\d*\.?\d+){4,}\s*?\r?\n?', 'text as YOLO writes it: convert it to COCO format'),
)


def read_json(path: str | Path) -> object:
    """The content of a JSON file in UTF-8, UTF-16 or UTF-32, with a byte order mark or without, whatever the locale.

    Args:
        path: path of the file.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it is a folder, empty, in another encoding, no JSON, or has a key twice with two values.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f'{path} is a folder: name a JSON file')
    if not path.is_file():
        raise FileNotFoundError(f'no file {path}')
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f'{path} can not be read: {error.strerror}') from error
    if not data.strip(b'\x00 \t\r\n'):
        raise ValueError(f'{path} is empty ({len(data)} bytes): write or copy it again')
    try:
        text = data.decode(json.detect_encoding(data))
        return json.loads(text, object_pairs_hook=_without_contradiction)
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{path} is {_describe(data, error)}') from error


def _without_contradiction(pairs: list[tuple[str, object]]) -> dict:
    """An object; json itself would keep the last of two values of a key."""
    content = dict(pairs)
    if len(content) < len(pairs):
        for key, value in pairs:
            if content[key] != value:
                raise ValueError(f'two values of the key {key[:60]!r} in one object: keep one of them')
    return content


def _describe(data: bytes, error: Exception) -> str:
    """What a file is that can't be read, and what to do."""
    for start, description in _KNOWN_STARTS:
        if re.match(start, data, re.IGNORECASE):
            return f'no JSON but {description}'
    if isinstance(error, UnicodeDecodeError):
        return (
            f'not {error.encoding.upper()}: byte 0x{data[error.start]:02x} at position {error.start}. Save it as UTF-8'
        )
    if isinstance(error, json.JSONDecodeError):
        where = f'{error.msg} at line {error.lineno}, column {error.colno}'
        rest = error.doc[error.pos :].lstrip()
        if error.msg == 'Extra data' and rest.startswith(('{', '[')):
            return f'not one JSON value but several ({where}): write them as one'
        if not rest or error.msg.startswith('Unterminated'):
            where += ': its end is missing'
        return f'no JSON: {where}. Write or copy it again'
    if isinstance(error, RecursionError):
        return 'nested too deeply: write it again'
    return f'no sound JSON: {str(error)[:200]}'
