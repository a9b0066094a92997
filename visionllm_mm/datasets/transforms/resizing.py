"""Resizes images; an image that is too narrow for it is named."""

import mmcv
from mmdet.datasets.transforms import Resize as MMDetResize
from mmdet.registry import TRANSFORMS

from ...image_files import ImageFileError


@TRANSFORMS.register_module(name='Resize', force=True)
class Resize(MMDetResize):
    """mmdet's Resize; OpenCV's error for a side of 0 px names neither the image nor its size.

    It takes the place of mmdet's, because mmdet's RandomResize and RandomChoiceResize build it by that name.

    Raises:
        ImageFileError: when a side of the resized image would have 0 px.
    """

    def _resize_img(self, results: dict) -> None:
        image = results.get('img')
        if image is not None and self.keep_ratio:
            height, width = image.shape[:2]
            scale = results['scale']
            if not min(mmcv.rescale_size((width, height), scale)):
                name = results.get('img_path') or 'the image'
                wanted = f'{scale[0]}' if scale[0] == scale[1] else f'{scale[0]} x {scale[1]}'
                raise ImageFileError(
                    f'{name}: {width} x {height} px can not be resized to {wanted}: its short side would have 0 px. '
                    'Cut it into wider parts, or leave it out'
                )
        super()._resize_img(results)
