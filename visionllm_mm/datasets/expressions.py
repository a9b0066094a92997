"""Referring expressions for training: what else the image shows is known (paper, section 4.1: RefCOCO)."""

import numpy as np
from mmdet.datasets import MDETRStyleRefCocoDataset
from mmdet.evaluation.functional import bbox_overlaps
from mmdet.registry import DATASETS

from .known_objects import add_known_objects

MIN_IOU = 0.5


@DATASETS.register_module()
class ReferringExpressionDataset(MDETRStyleRefCocoDataset):
    """mmdet's MDETR-style RefCOCO data set whose samples also know the objects that are not described.

    Samples have all known objects as ``instances``, with ``object_names``, the names of their labels, and
    ``described``, a tuple of bools: which of them the expression means. What an expression does not mean teaches as
    much as what it does.

    Args:
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
        meant = [[instance['bbox'] for instance in sample['instances']] for sample in samples]
        add_known_objects(samples, self.objects, self.data_root)
        for sample, boxes in zip(samples, meant, strict=True):
            sample['described'] = self._find(boxes, sample)
        return samples

    @staticmethod
    def _find(boxes: list, sample: dict) -> tuple[bool, ...]:
        known = np.array([instance['bbox'] for instance in sample['instances']], dtype=np.float32).reshape(-1, 4)
        described = np.zeros(len(known), dtype=bool)
        for box in boxes:
            overlaps = bbox_overlaps(np.array([box], dtype=np.float32), known)[0]
            if not len(known) or overlaps.max() < MIN_IOU:
                raise ValueError(f'{sample["img_path"]}: no known object is at {box}, the box of {sample["text"]!r}: '
                                 'give a file of objects with all that is described')
            described[overlaps.argmax()] = True
        return tuple(described.tolist())
