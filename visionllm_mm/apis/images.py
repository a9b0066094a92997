"""Input images: files of any format, arrays, PIL images, videos."""

import logging
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from mmengine.logging import print_log
from PIL import Image, ImageOps, UnidentifiedImageError

from ..file_names import is_url, why_missing
from ..image_files import ImageFileError, check_whole

ImageInput = str | Path | np.ndarray | Image.Image
VIDEO_SUFFIXES = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm')


def is_video(path: str | Path) -> bool:
    """Whether a path has the suffix of a video; the file is not read."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES


def check_image_file(path: str | Path, max_pixels: int) -> str:
    """Checks an image file by its header and its structure, and returns its path. URLs are returned unchecked.

    Args:
        path: a file, or a URL.
        max_pixels: the largest number of pixels, width times height, of an image.

    Raises:
        FileNotFoundError: when there is no such file.
        ImageFileError: when it is not an image, is truncated, or has more than ``max_pixels``. Videos:
            :class:`Video`.
    """
    if is_url(str(path)):
        return str(path)
    if not Path(path).is_file():
        raise FileNotFoundError(f'no image {path}{why_missing(str(path))}')
    if not Path(path).stat().st_size:
        raise ImageFileError(f'{path} is empty: it has 0 bytes. Copy it again')
    if is_video(path):
        raise ImageFileError(f'{path} is not an image but a video: ask about it by itself')
    try:
        with Image.open(path) as image:
            _check_size(str(path), *image.size, max_pixels)
    except (ImageFileError, PermissionError):
        raise
    except UnidentifiedImageError as error:
        raise ImageFileError(f'{path} is not an image of a kind that can be read: convert it to JPEG or PNG') from error
    except Image.DecompressionBombError as error:
        raise ImageFileError(f'{path} is too large: at most {max_pixels} pixels are read. Scale it down') from error
    except Exception as error:  # each decoder of PIL has errors of its own for damaged headers
        raise ImageFileError(f'{path} can not be read as an image: {error}. Copy it again') from error
    check_whole(str(path), Path(path).read_bytes())
    return str(path)


def to_array(image: np.ndarray | Image.Image, max_pixels: int) -> np.ndarray:
    """An array or a PIL image as (H, W, 3) uint8, BGR; PIL images are rotated as their EXIF data state.

    Args:
        image: the array or PIL image.
        max_pixels: the largest number of pixels, width times height, of an image.

    Raises:
        TypeError: for other types.
        ValueError: for arrays of another shape or type.
        ImageFileError: for more than ``max_pixels``, and for PIL images whose file is truncated or damaged.
    """
    if isinstance(image, Image.Image):
        name = str(getattr(image, 'filename', '') or 'the image')
        _check_size(name, *image.size, max_pixels)
        try:
            rgb = np.asarray(_to_eight_bits(ImageOps.exif_transpose(image)).convert('RGB'))
        except Exception as error:  # PIL reads the file only here, and each of its decoders has errors of its own
            raise ImageFileError(f'{name} can not be read as an image: {error}. Copy it again') from error
        return np.ascontiguousarray(rgb[..., ::-1])
    if not isinstance(image, np.ndarray):
        raise TypeError(f'an image is a path, an array (H, W, 3) or a PIL image, got {type(image).__name__}')
    if image.ndim != 3 or image.shape[2] != 3 or not image.size or image.dtype != np.uint8:
        raise ValueError(f'an image array must be (H, W, 3) of uint8, got {image.shape} of {image.dtype}')
    _check_size('the image', image.shape[1], image.shape[0], max_pixels)
    return image


class Video:
    """The frames of a video file, (H, W, 3; uint8, BGR), one by one until the last that can be read.

    A warning in the log states both counts where the header of the file counts more or fewer.

    Args:
        path: the file.
        max_pixels: the largest number of pixels, width times height, of a frame.

    Raises:
        FileNotFoundError: when there is no such file.
        ImageFileError: when OpenCV finds no frame in it, or the frames have more than ``max_pixels``.
    """

    def __init__(self, path: str | Path, max_pixels: int) -> None:
        self.path = str(path)
        if not Path(path).is_file():
            raise FileNotFoundError(f'no video {path}{why_missing(str(path))}')
        capture = cv2.VideoCapture(self.path)
        self.stated_count = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        is_readable, frame = capture.read()
        capture.release()
        if not is_readable:
            raise ImageFileError(f'{path} is not a video that OpenCV can read: convert it, for instance to MP4')
        _check_size(f'a frame of {path}', frame.shape[1], frame.shape[0], max_pixels)

    def __len__(self) -> int:
        """How many frames the header counts; at least 1."""
        return max(1, self.stated_count)

    def __iter__(self) -> Iterator[np.ndarray]:
        capture, count = cv2.VideoCapture(self.path), 0
        try:
            while (found := capture.read())[0]:
                count += 1
                yield found[1]
        finally:
            capture.release()
        if self.stated_count not in (0, count):  # 0: the format has no place for it
            print_log(
                f'{self.path}: its header counts {self.stated_count} frames, {count} could be read',
                'current',
                logging.WARNING,
            )


def _check_size(name: str, width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise ImageFileError(
            f'{name} is too large: {width} x {height} are more than {max_pixels} pixels. Scale it down'
        )


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Converts gray images of 16 bits to 8 bits as OpenCV does; PIL would clip them at 255."""
    if not image.mode.startswith('I'):
        return image
    values = np.asarray(image, dtype=np.int64).clip(0, 65535)
    if image.mode != 'I' or values.max() > 255:  # mode I, of 32 bits, may hold gray of 8
        values >>= 8
    return Image.fromarray(values.astype(np.uint8))
