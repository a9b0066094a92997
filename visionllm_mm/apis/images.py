"""Input images: files of any format, arrays, PIL images, videos."""

from pathlib import Path

import numpy as np
from mmcv import VideoReader
from PIL import Image, ImageOps, UnidentifiedImageError

ImageInput = str | Path | np.ndarray | Image.Image
VIDEO_SUFFIXES = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm')


def is_video(path: str | Path) -> bool:
    """Whether a path has the suffix of a video; the file is not read."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES


def check_image_file(path: str | Path, max_pixels: int) -> str:
    """Checks an image file by its header and returns its path. URLs are returned unchecked.

    Args:
        path: a file, or a URL.
        max_pixels: the largest number of pixels, width times height, of an image.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it is not an image, or has more than ``max_pixels``. Videos: :func:`open_video`.
    """
    if '://' in str(path):
        return str(path)
    if not Path(path).is_file():
        raise FileNotFoundError(f'no image {path}')
    if not Path(path).stat().st_size:
        raise ValueError(f'{path} is empty: it has 0 bytes')
    if is_video(path):
        raise ValueError(f'{path} is not an image but a video')
    try:
        with Image.open(path) as image:
            _check_size(str(path), *image.size, max_pixels)
    except UnidentifiedImageError as error:
        raise ValueError(f'{path} is not an image of a kind that can be read') from error
    except Image.DecompressionBombError as error:
        raise ValueError(f'{path} is too large: at most {max_pixels} pixels are read. Scale it down') from error
    return str(path)


def to_array(image: np.ndarray | Image.Image, max_pixels: int) -> np.ndarray:
    """An array or a PIL image as (H, W, 3) uint8, BGR; PIL images are rotated as their EXIF data state.

    Args:
        image: the array or PIL image.
        max_pixels: the largest number of pixels, width times height, of an image.

    Raises:
        TypeError: for other types.
        ValueError: for arrays of another shape or type, and for more than ``max_pixels``.
    """
    if isinstance(image, Image.Image):
        _check_size('the image', *image.size, max_pixels)
        rgb = np.asarray(_to_eight_bits(ImageOps.exif_transpose(image)).convert('RGB'))
        return np.ascontiguousarray(rgb[..., ::-1])
    if not isinstance(image, np.ndarray):
        raise TypeError(f'an image is a path, an array (H, W, 3) or a PIL image, got {type(image).__name__}')
    if image.ndim != 3 or image.shape[2] != 3 or not image.size or image.dtype != np.uint8:
        raise ValueError(f'an image array must be (H, W, 3) of uint8, got {image.shape} of {image.dtype}')
    _check_size('the image', image.shape[1], image.shape[0], max_pixels)
    return image


def open_video(path: str | Path, max_pixels: int) -> VideoReader | None:
    """Frames of a video file as a sequence of arrays (H, W, 3; uint8, BGR); None where the path is not a video.

    Args:
        path: a file of any format.
        max_pixels: the largest number of pixels, width times height, of a frame.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when OpenCV finds no frames in it, or they have more than ``max_pixels``.
    """
    if not is_video(path):
        return None
    if not Path(path).is_file():
        raise FileNotFoundError(f'no video {path}')
    video = VideoReader(str(path))
    if video.frame_cnt < 1:
        raise ValueError(f'{path} is not a video that OpenCV can read')
    _check_size(f'a frame of {path}', video.width, video.height, max_pixels)
    return video


def _check_size(name: str, width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise ValueError(f'{name} is too large: {width} x {height} are more than {max_pixels} pixels. Scale it down')


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Converts gray images of 16 bits to 8 bits as OpenCV does; PIL would clip them at 255."""
    if not image.mode.startswith('I'):
        return image
    values = np.asarray(image, dtype=np.int64).clip(0, 65535)
    if image.mode != 'I' or values.max() > 255:  # mode I, of 32 bits, may hold gray of 8
        values >>= 8
    return Image.fromarray(values.astype(np.uint8))
