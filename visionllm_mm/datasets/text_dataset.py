"""What data sets of texts about images share."""

from pathlib import Path

from mmdet.datasets import CocoDataset
from mmengine.dataset import BaseDataset


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
        if self.objects is None:
            return samples
        known = CocoDataset(**(dict(data_root=self.data_root, data_prefix=dict(img=''), test_mode=True) | self.objects))
        by_file = {}
        for i in range(len(known)):
            info = known.get_data_info(i)
            by_file[Path(info['img_path']).name] = info
        names = list(known.metainfo['classes'])
        for sample in samples:
            if Path(sample['img_path']).name not in by_file:
                raise ValueError(f'{sample["img_path"]} is not in {known.ann_file}: give a file of objects with all '
                                 'images, or leave objects out')
            info = by_file[Path(sample['img_path']).name]
            sample.update(instances=info['instances'], img_shape=(info['height'], info['width']), object_names=names)
        return samples
