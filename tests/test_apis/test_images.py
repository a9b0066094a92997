"""Input images and videos: what can't be read is named."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.picture_files import PICTURES, TAILS, encode, state_frames, write_video
from visionllm_mm.apis import images
from visionllm_mm.apis.images import Video, check_image_file, to_array
from visionllm_mm.image_files import ImageFileError

ENOUGH = 10_000


def _file(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize('tail', TAILS)
def test_pictures_with_something_behind_their_end_are_read(tmp_path, tail):
    for kind, data in PICTURES.items():
        path = _file(tmp_path / f'{kind}.jpg', data + TAILS[tail])
        assert check_image_file(path, ENOUGH) == str(path)


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'WEBP', 'BMP', 'TIFF', 'GIF', 'PPM'])
@pytest.mark.parametrize('share', [0.02, 0.5, 0.9])
def test_pil_images_of_truncated_files_are_named(tmp_path, kind, share):
    data = encode(kind)
    path = _file(tmp_path / f'half.{kind.lower()}', data[: int(len(data) * share)])
    try:
        image = Image.open(path)
    except (OSError, SyntaxError):  # nothing that could be given
        return
    with pytest.raises(ImageFileError, match='half.* can not be read as an image: '):
        to_array(image, ENOUGH)


def test_pil_images_without_a_file_have_no_name():
    data = encode('PNG')
    with pytest.raises(ImageFileError, match='^the image can not be read as an image: image file is truncated'):
        to_array(Image.open(io.BytesIO(data[: len(data) // 2])), ENOUGH)


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'WEBP', 'BMP', 'TIFF', 'GIF'])
@pytest.mark.parametrize('other', ['JPEG', 'PNG', 'WEBP', 'BMP', 'TIFF', 'GIF'])
@pytest.mark.parametrize('length', [4, 16, 40])
def test_headers_of_another_format_are_named(tmp_path, kind, other, length):
    """Either the header check names the file, or the loader does."""
    from visionllm_mm.datasets.transforms import LoadImageFromFile

    path = _file(tmp_path / 'odd.png', encode(other)[:length] + encode(kind)[length:])
    if kind == other:
        check_image_file(path, ENOUGH)
        return
    try:
        LoadImageFromFile()(dict(img_path=check_image_file(path, ENOUGH)))
    except ValueError as error:
        assert 'odd.png' in str(error)


def test_missing_files_are_named(tmp_path):
    _file(tmp_path / 'a.JPG', PICTURES['jpeg'])
    with pytest.raises(FileNotFoundError, match=r'no image .*a.jpg: there is .*a.JPG. The names differ by the case'):
        check_image_file(tmp_path / 'a.jpg', ENOUGH)
    with pytest.raises(FileNotFoundError, match='its name is a URL behind a folder'):
        check_image_file(f'{tmp_path}/http://host/a.jpg', ENOUGH)
    assert check_image_file('https://host/a.jpg', ENOUGH) == 'https://host/a.jpg'


@pytest.fixture
def logged(monkeypatch):
    lines = []
    monkeypatch.setattr(images, 'print_log', lambda text, *args: lines.append(text))
    return lines


def test_all_frames_are_read_whatever_the_header_counts(tmp_path, logged):
    path = tmp_path / 'a.avi'
    write_video(path, 6)
    means = [frame.mean() for frame in Video(path, ENOUGH)]
    np.testing.assert_allclose(means, [0, 40, 80, 120, 160, 200], atol=10)
    assert not logged and len(Video(path, ENOUGH)) == 6
    for count in (1, 9):
        state_frames(path, count)
        video = Video(path, ENOUGH)
        assert len(list(video)) == len(list(video)) == 6, 'it can be read again'
        assert logged.pop() == logged.pop() == f'{path}: its header counts {count} frames, 6 could be read'


def test_half_a_video(tmp_path, logged):
    path = tmp_path / 'a.avi'
    write_video(path, 6)
    whole = path.read_bytes()
    _file(path, whole[: len(whole) // 2])
    count = len(list(Video(path, ENOUGH)))
    assert 0 < count < 6 and logged == [f'{path}: its header counts 6 frames, {count} could be read']


def test_what_is_no_video(tmp_path):
    write_video(tmp_path / 'a.avi', 1)
    with pytest.raises(ImageFileError, match='a frame of .*a.avi is too large: 64 x 64 are more than 100 pixels'):
        Video(tmp_path / 'a.avi', 100)
    with pytest.raises(ImageFileError, match='b.mp4 is not a video that OpenCV can read'):
        Video(_file(tmp_path / 'b.mp4', b'no video'), ENOUGH)
    with pytest.raises(FileNotFoundError, match='no video .*c.mp4'):
        Video(tmp_path / 'c.mp4', ENOUGH)
    with pytest.raises(ImageFileError, match='a.avi is not an image but a video: ask about it by itself'):
        check_image_file(tmp_path / 'a.avi', ENOUGH)
