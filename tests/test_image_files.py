"""Pictures that are whole are told from those that are not, whatever lies behind their end."""

import numpy as np
import pytest

from tests.helpers.picture_files import PICTURES, TAILS, encode
from visionllm_mm.image_files import ImageFileError, check_whole


@pytest.mark.parametrize('picture', PICTURES.values(), ids=PICTURES)
@pytest.mark.parametrize('tail', ['', *TAILS])
def test_what_lies_behind_the_end_is_allowed(picture, tail):
    check_whole('a', picture + TAILS.get(tail, b''))


@pytest.mark.parametrize('picture', PICTURES.values(), ids=PICTURES)
@pytest.mark.parametrize('tail', ['', *TAILS])
def test_truncated_pictures_are_named_whatever_follows(picture, tail):
    for cut in (1, 2, *(round(len(picture) * share) for share in np.linspace(0.01, 0.6, 40))):
        with pytest.raises(ImageFileError, match=r'the image D/a.jpg is (truncated|damaged)'):
            check_whole('D/a.jpg', picture[:-cut] + TAILS.get(tail, b''))


def test_sizes_and_checksums_of_headers():
    png = bytearray(encode('PNG'))
    png[19] += 1
    with pytest.raises(ImageFileError, match='a.png is damaged: the checksum of its part IHDR is wrong'):
        check_whole('a.png', bytes(png))
    whole = encode('GIF')
    check_whole('a.gif', whole)
    for width in (30, 90):
        with pytest.raises(ImageFileError, match=f'header states {width} x 40 px, its first frame 60 x 40'):
            check_whole('a.gif', whole[:6] + width.to_bytes(2, 'little') + whole[8:])


def test_a_frame_may_be_a_part_of_its_canvas():
    whole = bytearray(encode('GIF'))
    start = whole.index(b',', 13 + 3 * 256)
    whole[start + 1 : start + 3] = (5).to_bytes(2, 'little')
    whole[6:8] = (70).to_bytes(2, 'little')
    check_whole('a.gif', bytes(whole))


@pytest.mark.parametrize(
    'start', [b'\xff\xd8', b'\xff\xd8\xff', b'\x89PNG\r\n\x1a\n', b'GIF89a', b'\xff\xd8' + b'\xff' * 99]
)
def test_headers_alone_are_truncated(start):
    with pytest.raises(ImageFileError, match='a is truncated: its end is missing'):
        check_whole('a', start)


def test_other_formats_are_left_to_their_decoders():
    for data in (b'', b'BM', encode('WEBP')[:50], encode('TIFF')[:50]):
        check_whole('a', data)
