"""Images load as mmcv loads them; what can't be read is named."""

import cv2
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile as McvLoadImageFromFile
from mmdet.registry import TRANSFORMS
from mmengine.registry import DefaultScope, init_default_scope

from tests.helpers.picture_files import PICTURES, TAILS
from visionllm_mm.datasets.transforms import LoadImageFromFile
from visionllm_mm.image_files import ImageFileError


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def _save(path, picture, cut=None):
    assert cv2.imwrite(str(path), picture)
    if cut is not None:
        path.write_bytes(path.read_bytes()[:cut])
    return dict(img_path=str(path))


@pytest.mark.parametrize('suffix', ['.png', '.jpg', '.bmp', '.webp', '.tif'])
def test_sound_images_load_as_with_mmcv(tmp_path, picture, suffix):
    results = _save(tmp_path / f'a{suffix}', picture)
    ours, theirs = LoadImageFromFile()(dict(results)), McvLoadImageFromFile()(dict(results))
    np.testing.assert_array_equal(ours.pop('img'), theirs.pop('img'))
    assert ours == theirs and ours['img_shape'] == (40, 60)


@pytest.mark.parametrize('suffix', ['.png', '.jpg', '.bmp', '.webp', '.tif', '.gif', '.ppm'])
@pytest.mark.parametrize('share', [0.1, 0.5, 0.8, 0.99])
def test_truncated_images_are_named(tmp_path, picture, suffix, share):
    path = tmp_path / f'cut{suffix}'
    size = len(_save(path, picture) and path.read_bytes())
    with pytest.raises(ValueError, match=f'cut{suffix}.*(truncated|can not be read)'):
        LoadImageFromFile()(_save(path, picture, cut=int(size * share)))


@pytest.mark.parametrize('kind', PICTURES)
def test_pictures_with_a_video_behind_them_load_and_truncated_ones_do_not(tmp_path, kind):
    path = tmp_path / 'photo.jpg'
    path.write_bytes(PICTURES[kind] + TAILS['video'])
    assert LoadImageFromFile()(dict(img_path=str(path)))['img_shape'] == (40, 60)
    path.write_bytes(PICTURES[kind][:-100] + TAILS['video'])
    with pytest.raises(ImageFileError, match='photo.jpg is (truncated|damaged)'):
        LoadImageFromFile()(dict(img_path=str(path)))


@pytest.mark.parametrize('content', [b'', b'hello', b'\x89PNG\r\n\x1a\n', b'BM'])
def test_what_is_no_image_is_named(tmp_path, content):
    path = tmp_path / 'odd.png'
    path.write_bytes(content)
    with pytest.raises(ValueError, match='odd.png'):
        LoadImageFromFile()(dict(img_path=str(path)))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='none.png is missing$'):
        LoadImageFromFile()(dict(img_path=str(tmp_path / 'none.png')))
    with pytest.raises(
        FileNotFoundError, match=r'train2017/1.jpg is missing: from train2017.zip of https://cocodataset'
    ):
        LoadImageFromFile()(dict(img_path=str(tmp_path / 'train2017/1.jpg')))
    with pytest.raises(FileNotFoundError, match='a.png is missing: its name has backslashes instead of slashes$'):
        LoadImageFromFile()(dict(img_path=f'{tmp_path}\\a.png'))
    with pytest.raises(
        FileNotFoundError, match='train/http://host/a.png is missing: its name is a URL behind a folder'
    ):
        LoadImageFromFile()(dict(img_path=f'{tmp_path}/train/http://host/a.png'))
    with pytest.raises(ImageFileError, match='http://127.0.0.1:9/a.png can not be fetched: '):
        LoadImageFromFile()(dict(img_path='http://127.0.0.1:9/a.png'))


def test_pipelines_of_mmdet_use_it_under_mmcvs_name():
    init_default_scope('mmdet')
    assert type(TRANSFORMS.build(dict(type='LoadImageFromFile'))) is LoadImageFromFile
    assert DefaultScope.get_current_instance().scope_name == 'mmdet'
