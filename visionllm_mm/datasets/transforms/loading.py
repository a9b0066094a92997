"""Loads images; errors name the file."""

from pathlib import Path
from urllib.error import URLError

import cv2
from mmcv.transforms import LoadImageFromFile as McvLoadImageFromFile
from mmdet.registry import TRANSFORMS
from mmengine import fileio

from ...file_names import is_url, why_missing
from ...image_files import ImageFileError, check_whole
from ..required_files import where_to_get


@TRANSFORMS.register_module(name='LoadImageFromFile')
class LoadImageFromFile(McvLoadImageFromFile):
    """mmcv's LoadImageFromFile; unreadable and truncated files raise an error that names them.

    It is registered under mmcv's name, because mmdet's inference API looks for that name.

    Raises:
        FileNotFoundError: when there is no such file; for public data sets the message states the source.
        ImageFileError: when the file is empty, truncated or no image.
    """

    def transform(self, results: dict) -> dict | None:
        path = results['img_path']
        try:
            data = fileio.get(path, backend_args=self.backend_args)
        except (FileNotFoundError, KeyError, URLError) as error:  # KeyError: mmengine knows no storage of that name
            if is_url(path):
                raise ImageFileError(
                    f'the image {path} can not be fetched: {error}. Download it, and name the file'
                ) from error
            raise FileNotFoundError(
                f'the image {path} is missing{where_to_get(Path(path)) or why_missing(path)}'
            ) from error
        check_whole(path, data)
        try:
            return super().transform(results)
        except (AssertionError, cv2.error) as error:
            raise ImageFileError(
                f'{path} ({len(data)} bytes) can not be read as an image: replace it, or take it out of the data'
            ) from error
