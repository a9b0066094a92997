"""Pictures are found under the names that exporters give them; sizes are those of the loaded picture."""

import unicodedata

import cv2
import pytest
from mmcv.transforms import LoadImageFromFile
from PIL import Image

from visionllm_mm.datasets.own_coco.picture_files import PictureFolder, shown_size

ACCENT = unicodedata.normalize('NFC', 'forêt 1.jpg')


@pytest.fixture
def folder(tmp_path):
    for name in ('x.jpg', 'My Tree.JPG', 'sub/y.png', 'a.png', 'A.png', ACCENT):
        path = tmp_path / 'train' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'')
    return PictureFolder(tmp_path / 'train')


@pytest.mark.parametrize(
    'name, found',
    [
        ('x.jpg', 'x.jpg'),
        ('train/x.jpg', 'x.jpg'),
        ('images\\x.jpg', 'x.jpg'),
        ('C:\\data\\sub\\y.png', 'sub/y.png'),
        ('/data/upload/3/x.jpg', 'x.jpg'),
        ('./x.jpg', 'x.jpg'),
        (' x.jpg ', 'x.jpg'),
        ('My%20Tree.JPG', 'My Tree.JPG'),
        ('my tree.jpg', 'My Tree.JPG'),
        ('x.JPG', 'x.jpg'),
        ('SUB/Y.PNG', 'sub/y.png'),
        ('http://localhost:8080/data/sub/y.png?token=1', 'sub/y.png'),
        ('/data/local-files/?d=train/sub/y.png', 'sub/y.png'),
        (unicodedata.normalize('NFD', ACCENT), ACCENT),
        ('train/train/' + unicodedata.normalize('NFD', ACCENT).upper(), ACCENT),
        ('A.png', 'A.png'),
        ('A.PNG', None),  # two files fit
        ('y.png', None),  # it is in a folder that the name lacks
        ('none.jpg', None),
        ('x', None),
        ('x\0.jpg', None),
        ('n' * 300, None),
        ('..', None),
    ],
)
def test_names(folder, name, found):
    path = folder.find(name)
    assert (None if path is None else path.relative_to(folder.path).as_posix()) == found


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'webp', 'tiff', 'bmp'])
@pytest.mark.parametrize('orientation', [1, 3, 6, 8])
def test_sizes_are_those_of_the_loaded_picture(tmp_path, suffix, orientation):
    path = tmp_path / f'a.{suffix}'
    exif = Image.Exif()
    exif[274] = orientation
    Image.new('RGB', (50, 20)).save(path, **({} if suffix == 'bmp' else dict(exif=exif)))
    loaded = LoadImageFromFile()(dict(img_path=str(path)))['img_shape']
    size, turned = shown_size(path)
    assert size == loaded[::-1]
    assert turned == (loaded[0] == 50) or suffix == 'tiff'  # PIL turns these itself


@pytest.mark.parametrize(
    'data, reason',
    [
        (b'', 'empty'),
        (b'hello', 'no picture'),
        (b'\x89PNG\r\n\x1a\nxx', 'damaged'),
        (b'\0\0\0\x18ftypheic', 'telephones'),
    ],
)
def test_files_that_are_no_pictures(tmp_path, data, reason):
    (tmp_path / 'a.png').write_bytes(data)
    with pytest.raises(ValueError, match=reason):
        shown_size(tmp_path / 'a.png')


def test_a_format_that_opencv_does_not_read(tmp_path):
    Image.new('RGB', (32, 32)).save(tmp_path / 'a.ico')
    assert cv2.imread(str(tmp_path / 'a.ico')) is None
    with pytest.raises(ValueError, match='of the format ICO, which OpenCV does not read'):
        shown_size(tmp_path / 'a.ico')


def test_large_pictures(tmp_path, monkeypatch, recwarn):
    """PIL's warning is no matter, since headers alone are read; what it refuses is refused."""
    Image.new('L', (40, 30)).save(tmp_path / 'a.png')
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 1000)
    assert shown_size(tmp_path / 'a.png') == ((40, 30), False) and len(recwarn) == 0
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 500)
    with pytest.raises(ValueError, match='too large'):
        shown_size(tmp_path / 'a.png')
