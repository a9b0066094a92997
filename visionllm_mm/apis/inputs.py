"""What a call of the inferencer is given: images, checked and named."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from mmdet.apis.det_inferencer import IMG_EXTENSIONS

from ..file_names import below_common_folder, picture_names, without_suffixes
from ..image_files import ImageFileError
from .images import ImageInput, Video, check_image_file, is_video, to_array


def read_inputs(
    inputs: ImageInput | Sequence[ImageInput], max_pixels: int, skipped: list[dict] | None = None
) -> list[str | np.ndarray] | Video:
    """Checked paths, and arrays; frames of a video are read when they are needed.

    Args:
        inputs: an image, the path of a folder or video, or a list of images.
        max_pixels: the largest number of pixels of an image.
        skipped: takes what can't be read, see :func:`skip`.

    Raises:
        ValueError: when there is no image, or one can't be read.
        TypeError: for an image of another type.
        FileNotFoundError: when there is no such file.
    """
    is_path = isinstance(inputs, str | Path)
    if is_path and is_video(inputs):
        try:
            return Video(inputs, max_pixels)
        except (ImageFileError, OSError) as error:
            skip(skipped, str(inputs), error)
            return []
    if is_path and Path(inputs).is_dir():
        found = list_folder(inputs)
    else:
        found = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
    if not found:
        raise ValueError(f'there is no image in {inputs!r}')
    images = []
    for image in found:
        check = check_image_file if isinstance(image, str | Path) else to_array
        try:
            images.append(check(image, max_pixels))
        except (ImageFileError, OSError) as error:
            skip(skipped, str(image) if check is check_image_file else None, error)
    return images


def list_folder(folder: str | Path) -> list[str]:
    """The images of a folder in the order of their names, known by their suffixes; folders inside are left out."""
    return sorted(str(file) for file in Path(folder).iterdir() if file.suffix.lower() in IMG_EXTENSIONS)


def skip(skipped: list[dict] | None, path: str | None, error: Exception) -> None:
    """Notes an image that can't be used as ``dict(img_path=..., reason=...)``; raises its error where there is no list.

    Args:
        skipped: the list.
        path: of the image; None for arrays.
        error: the reason.
    """
    if skipped is None:
        raise error
    skipped.append(dict(img_path=path, reason=str(error)))


class NamedImages:
    """Images as mmdet's loader takes them, each with the names of the files that are made of it.

    Args:
        images: paths, arrays or mmdet's dicts of one of them; frames of a video are read one by one.
        fields: what each of them is loaded with, such as its instruction.
        skipped: takes the images that can't be loaded, see :func:`skip`.
    """

    def __init__(
        self,
        images: Sequence[str | np.ndarray | dict] | Video,
        fields: dict | None = None,
        skipped: list[dict] | None = None,
    ) -> None:
        self.images = images
        self.fields = fields or {}
        self.skipped = skipped
        paths = [] if isinstance(images, Video) else list(dict.fromkeys(filter(None, map(_path_of, images))))
        names = below_common_folder(paths)
        self.names = dict(zip(paths, zip(picture_names(names), without_suffixes(names), strict=True), strict=True))

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[tuple[dict, tuple[str, str] | None]]:
        """Yields what is loaded, and the names of picture and answer; None for arrays."""
        for image in self.images:
            item = image if isinstance(image, dict) else {'img_path' if isinstance(image, str) else 'img': image}
            yield self.fields | item, self.names.get(_path_of(image))


def _path_of(image: str | np.ndarray | dict) -> str | None:
    if isinstance(image, dict):
        return image.get('img_path')
    return image if isinstance(image, str) else None


class SizedIterable:
    """An iterable with a known length."""

    def __init__(self, items: Iterable, count: int) -> None:
        self.items = items
        self.count = count

    def __iter__(self) -> Iterator:
        return iter(self.items)

    def __len__(self) -> int:
        return self.count
