"""What data sets of texts about images share."""

from mmengine.dataset import BaseDataset

from .known_objects import add_known_objects


class TextDataset(BaseDataset):
    """Base of data sets of texts about images, some of whose objects may be known.

    Args:
        objects: arguments of mmdet's CocoDataset, whose file says what objects the images show (``ann_file``,
            ``metainfo``; ``data_root`` is this set's own). Samples then have ``instances`` and ``object_names``, the
            names of their labels. They teach what the image tokens should describe; the texts say nothing of places.
            None: nothing is known.
        kwargs: of mmengine's BaseDataset.

    Raises:
        ValueError: when an image is not in the file of objects.
    """

    def __init__(self, *args, objects: dict | None = None, **kwargs) -> None:
        self.objects = objects
        super().__init__(*args, **kwargs)

    def with_objects(self, samples: list[dict]) -> list[dict]:
        """Adds what is known of their objects to samples with an ``img_path``."""
        if self.objects is not None:
            add_known_objects(samples, self.objects, self.data_root)
        return samples
