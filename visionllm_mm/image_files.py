"""Image files that are whole: what decoders show in part, or fill with gray, is found by the structure of the file."""

import re
import struct
import zlib

_PNG = b'\x89PNG\r\n\x1a\n'
# Inside of a scan 0xFF is followed by 0x00 (a stuffed byte) or a restart marker; anything else ends the scan.
_END_OF_SCAN = re.compile(rb'\xff[^\x00\xff\xd0-\xd7]', re.DOTALL)
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_WITHOUT_LENGTH = {0x00, 0x01, *range(0xD0, 0xD8)}
_SOF = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # these state the size of the picture
_BEHIND_SOF = {0xC4, 0xCC, _EOI, _SOS, 0xDB, 0xDC, 0xDD, *range(0xE0, 0xF0), 0xFE}


class ImageFileError(ValueError):
    """An image that can't be read or used; the message names it."""


def check_whole(path: str, data: bytes) -> None:
    """Checks that a JPEG, PNG or GIF is all there; other formats are left to their decoders, which refuse parts.

    Bytes behind the end of the picture are allowed: phones append videos, and programs append text.

    Args:
        path: of the file, for the message.
        data: its content.

    Raises:
        ImageFileError: when the end of the picture is missing, or a checksum or size inside of it is wrong.
    """
    for start, find_fault in ((b'\xff\xd8', _fault_of_jpeg), (_PNG, _fault_of_png), (b'GIF8', _fault_of_gif)):
        if not data.startswith(start):
            continue
        try:
            fault = find_fault(data)
        except (IndexError, ValueError, struct.error):
            fault = 'is truncated: its end is missing'
        if fault:
            raise ImageFileError(f'the image {path} {fault}. Copy it again, or take it out of the data')


def _fault_of_jpeg(data: bytes) -> str:
    """What is wrong with a JPEG; an IndexError, ValueError or struct.error where it ends too early, as below.

    Thumbnails lie inside of segments and are passed over with them. A picture has one scan, a progressive one several.
    """
    position, has_size = 2, False
    while True:
        position = data.index(b'\xff', position)
        while data[position] == 0xFF:
            position += 1
        marker, position = data[position], position + 1
        if marker in _WITHOUT_LENGTH:
            continue
        if marker == _SOI or (has_size and marker not in _BEHIND_SOF):
            return f'is truncated or damaged: byte {position} is no part of a picture'
        if marker == _EOI:
            return ''
        has_size = has_size or marker in _SOF
        position += struct.unpack_from('>H', data, position)[0]
        if marker == _SOS:
            end = _END_OF_SCAN.search(data, position)
            if end is None:
                raise IndexError
            position = end.start()


def _fault_of_png(data: bytes) -> str:
    position = len(_PNG)
    while True:
        length, kind = struct.unpack_from('>I4s', data, position)
        (checksum,) = struct.unpack_from('>I', data, position + 8 + length)
        is_critical = kind[:1].isupper()
        if is_critical and zlib.crc32(data[position + 4 : position + 8 + length]) != checksum:
            return f'is damaged: the checksum of its part {kind.decode("latin-1")} is wrong'
        if kind == b'IEND':
            return ''
        position += 12 + length


def _fault_of_gif(data: bytes) -> str:
    """Compares the size in the header with that of the first frame; the decoder refuses GIFs that are cut short."""
    width, height, flags = struct.unpack_from('<HHB', data, 6)
    position = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    while data[position] == 0x21:  # an extension: its kind, then blocks with their length, the last one empty
        position += 2
        while data[position]:
            position += 1 + data[position]
        position += 1
    if data[position] != 0x2C:
        return 'is damaged: it has no frame'
    left, top, frame_width, frame_height = struct.unpack_from('<4H', data, position + 1)
    is_inside = left + frame_width <= width and top + frame_height <= height
    # A frame that covers a part of the canvas begins anywhere; one that begins at its corner has another size.
    is_corner = (left, top) == (0, 0) and (frame_width, frame_height) != (width, height)
    if is_corner or not is_inside:
        return f'is damaged: its header states {width} x {height} px, its first frame {frame_width} x {frame_height}'
    return ''
