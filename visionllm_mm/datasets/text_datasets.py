"""Data sets of texts about images; the objects of the images may be annotated (paper, section 4.1)."""

from pathlib import Path

import numpy as np
from mmdet.datasets import CocoDataset, MDETRStyleRefCocoDataset
from mmdet.evaluation.functional import bbox_overlaps
from mmdet.registry import DATASETS
from mmengine.dataset import BaseDataset

MIN_IOU = 0.5


def add_known_objects(samples: list[dict], objects: dict, data_root: str | None) -> None:
    """Adds ``instances``, ``img_shape`` and ``object_names`` (the names of their labels) to samples, in place.

    Args:
        samples: each with an ``img_path``; images are identified by their file names.
        objects: arguments of mmdet's CocoDataset (``ann_file``, ``metainfo``) for the file in which the objects of the
            images are annotated.
        data_root: folder of that file.

    Raises:
        ValueError: when an image is not in the file of objects.
    """
    known = CocoDataset(**(dict(data_root=data_root, data_prefix=dict(img=''), test_mode=True) | objects))
    by_file = {}
    for i in range(len(known)):
        info = known.get_data_info(i)
        by_file[Path(info['img_path']).name] = info
    names = list(known.metainfo['classes'])
    for sample in samples:
        if Path(sample['img_path']).name not in by_file:
            raise ValueError(
                f'{sample["img_path"]} is not in {known.ann_file}: give a file of objects with all '
                'images, or leave objects out'
            )
        info = by_file[Path(sample['img_path']).name]
        sample.update(instances=info['instances'], img_shape=(info['height'], info['width']), object_names=names)


class TextDataset(BaseDataset):
    """Base class of data sets of texts about images; the objects of the images may be annotated.

    Args:
        args: of mmengine's BaseDataset.
        objects: arguments of mmdet's CocoDataset (``ann_file``, ``metainfo``; ``data_root`` is this set's own) for the
            file in which the objects of the images are annotated. Samples then have ``instances`` and ``object_names``
            (the names of their labels), which are targets of the image tokens. The texts give no such targets.
            None: no annotations.
        kwargs: of mmengine's BaseDataset.

    Raises:
        ValueError: when an image is not in the file of objects.
    """

    def __init__(self, *args, objects: dict | None = None, **kwargs) -> None:
        self.objects = objects
        super().__init__(*args, **kwargs)

    def with_objects(self, samples: list[dict]) -> list[dict]:
        """Adds annotated objects, where there are any, to samples with an ``img_path``."""
        if self.objects is not None:
            add_known_objects(samples, self.objects, self.data_root)
        return samples


@DATASETS.register_module()
class ReferringExpressionDataset(MDETRStyleRefCocoDataset):
    """mmdet's MDETR-style RefCOCO data set, with annotations of the objects that an expression does not describe.

    Samples have all annotated objects as ``instances``, with ``object_names`` (the names of their labels) and
    ``described``, a tuple of bools: which objects the expression describes. The other objects are negative examples.

    Args:
        args: of mmdet's BaseDetDataset.
        objects: see :class:`TextDataset`.
        kwargs: of mmdet's BaseDetDataset.

    Raises:
        ValueError: when an image is not in the file of objects, or a described box fits none of its objects
            (IoU below 0.5).
    """

    def __init__(self, *args, objects: dict, **kwargs) -> None:
        self.objects = objects
        super().__init__(*args, **kwargs)

    def load_data_list(self) -> list[dict]:
        samples = super().load_data_list()
        described_boxes = [[instance['bbox'] for instance in sample['instances']] for sample in samples]
        add_known_objects(samples, self.objects, self.data_root)
        for sample, boxes in zip(samples, described_boxes, strict=True):
            sample['described'] = self._match(boxes, sample)
        return samples

    @staticmethod
    def _match(boxes: list, sample: dict) -> tuple[bool, ...]:
        """Which annotated objects the described boxes belong to."""
        known = np.array([instance['bbox'] for instance in sample['instances']], dtype=np.float32).reshape(-1, 4)
        described = np.zeros(len(known), dtype=bool)
        for box in boxes:
            overlaps = bbox_overlaps(np.array([box], dtype=np.float32), known)[0]
            if not len(known) or overlaps.max() < MIN_IOU:
                raise ValueError(
                    f'{sample["img_path"]}: no known object is at {box}, the box of {sample["text"]!r}: '
                    'give a file of objects with all that is described'
                )
            described[overlaps.argmax()] = True
        return tuple(described.tolist())
