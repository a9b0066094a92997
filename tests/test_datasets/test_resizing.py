"""Images are resized as by mmdet; those that are too narrow are named."""

import numpy as np
import pytest
from mmdet.datasets.transforms import Resize as MMDetResize
from mmdet.registry import TRANSFORMS
from mmengine.registry import init_default_scope

from visionllm_mm.datasets.transforms import Resize
from visionllm_mm.image_files import ImageFileError


def _sample(height, width, **more):
    return dict(img=np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3), **more)


@pytest.mark.parametrize('keep_ratio', [True, False])
def test_images_are_resized_as_by_mmdet(keep_ratio):
    settings = dict(scale=(48, 32), keep_ratio=keep_ratio)
    ours, theirs = Resize(**settings)(_sample(20, 40)), MMDetResize(**settings)(_sample(20, 40))
    np.testing.assert_array_equal(ours.pop('img'), theirs.pop('img'))
    np.testing.assert_array_equal(ours.pop('homography_matrix'), theirs.pop('homography_matrix'))
    assert ours == theirs


@pytest.mark.parametrize('type', ['Resize', 'RandomResize', 'RandomChoiceResize'])
@pytest.mark.parametrize('height, width', [(2000, 1), (1, 600), (3, 5000)])
def test_narrow_images_are_named(type, height, width):
    init_default_scope('mmdet')
    scale = dict(scales=[(256, 256)]) if type == 'RandomChoiceResize' else dict(scale=(256, 256))
    more = dict(ratio_range=(1, 1)) if type == 'RandomResize' else {}
    resize = TRANSFORMS.build(dict(type=type, keep_ratio=True, **scale, **more))
    message = f'{width} x {height} px can not be resized to 256: its short side would have 0 px. Cut it'
    with pytest.raises(ImageFileError, match=f'^D/a.png: {message}'):
        resize(_sample(height, width, img_path='D/a.png'))
    with pytest.raises(ImageFileError, match=f'^the image: {message}'):
        resize(_sample(height, width, img_path=None))


def test_what_is_just_wide_enough():
    assert Resize(scale=(256, 256), keep_ratio=True)(_sample(1, 512))['img'].shape == (1, 256, 3)
    assert Resize(scale=(256, 128), keep_ratio=False)(_sample(1, 5000))['img'].shape == (128, 256, 3)
    with pytest.raises(ImageFileError, match='to 256 x 128: its short side'):
        Resize(scale=(256, 128), keep_ratio=True)(_sample(1, 5000))
