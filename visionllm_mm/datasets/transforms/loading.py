"""Loads images; errors name the file."""

from pathlib import Path

import cv2
from mmcv.transforms import LoadImageFromFile as McvLoadImageFromFile
from mmdet.registry import TRANSFORMS
from mmengine import fileio

from ..required_files import where_to_get

_END_MARKERS = {b'\xff\xd8': b'\xff\xd9', b'\x89PNG': b'IEND'}


@TRANSFORMS.register_module(name='LoadImageFromFile')
class LoadImageFromFile(McvLoadImageFromFile):
    """mmcv's LoadImageFromFile; unreadable and truncated files raise an error that names them.

    It is registered under mmcv's name, because mmdet's inference API looks for that name.

    Raises:
        FileNotFoundError: when there is no such file; for public data sets the message states the source.
        ValueError: when the file is empty, truncated or no image.
    """

    def transform(self, results: dict) -> dict | None:
        path = results['img_path']
        try:
            data = fileio.get(path, backend_args=self.backend_args)
        except FileNotFoundError as error:
            raise FileNotFoundError(f'the image {path} is missing{where_to_get(Path(path))}') from error
        for start, end in _END_MARKERS.items():
            # A thumbnail in the header has an end marker, too, so the last one must lie in the second half.
            if data.startswith(start) and data.rfind(end) < len(data) // 2:
                raise ValueError(
                    f'the image {path} is truncated: its end is missing. Copy it again, or take it out of the data'
                )
        try:
            return super().transform(results)
        except (AssertionError, cv2.error) as error:
            raise ValueError(
                f'{path} ({len(data)} bytes) can not be read as an image: replace it, or take it out of the data'
            ) from error
