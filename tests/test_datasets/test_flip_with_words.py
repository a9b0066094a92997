"""Mirrored images whose texts stay true."""

import numpy as np
import pytest
from mmdet.structures.bbox import HorizontalBoxes

from visionllm_mm.datasets import RandomFlipWithWords

WORDS = dict(horizontal=(('left', 'right'),), vertical=(('above', 'below'),))


@pytest.mark.parametrize('with_image', [True, False])
@pytest.mark.parametrize(
    'direction, text, box',
    [
        ('horizontal', 'the star right of and above the ring', [14, 1, 18, 4]),
        ('vertical', 'the star left of and below the ring', [2, 6, 6, 9]),
        ('diagonal', 'the star right of and below the ring', [14, 6, 18, 9]),
    ],
)
def test_flipped_texts_stay_true(with_image, direction, text, box):
    image = np.zeros((10, 20, 3), np.uint8)
    image[1:4, 2:6] = 255
    sample = dict(
        text='the star left of and above the ring',
        img_shape=(10, 20),
        gt_bboxes=HorizontalBoxes(np.array([[2, 1, 6, 4]], dtype=np.float32)),
    )
    result = RandomFlipWithWords(words=WORDS, prob=1.0, direction=direction)(
        sample | (dict(img=image) if with_image else {})
    )
    assert result['text'] == text and result['gt_bboxes'].tensor.tolist() == [box]
    if with_image:
        x1, y1, x2, y2 = box
        assert (result['img'][y1:y2, x1:x2] == 255).all() and result['img'].sum() == image.sum()


def test_unflipped_samples_stay_as_they_are():
    sample = dict(text='left', img_shape=(10, 20), gt_bboxes=HorizontalBoxes(np.array([[2.0, 1, 6, 4]])))
    result = RandomFlipWithWords(words=WORDS, prob=0.0)(sample)
    assert result['text'] == 'left' and not result['flip'] and result['gt_bboxes'].tensor.tolist() == [[2, 1, 6, 4]]
