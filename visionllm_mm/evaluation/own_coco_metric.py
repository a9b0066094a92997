"""COCO's average precision on own data."""

from collections.abc import Mapping
from pathlib import Path

from mmdet.evaluation import CocoMetric
from mmdet.registry import METRICS

from ..datasets.own_coco import CheckedCoco, load_checked


@METRICS.register_module()
class OwnCocoMetric(CocoMetric):
    """mmdet's CocoMetric, with the annotations that :class:`OwnCocoDataset` uses of the file.

    Boxes that are left out there do not count here; an object of an unknown outline counts as the rectangle of its box
    in ``segm``.

    Args:
        ann_file: the annotation file.
        data_prefix: ``dict(img=folder of the pictures)``.
        kwargs: see mmdet's CocoMetric.

    Raises:
        FileNotFoundError: when the annotation file is missing.
        ValueError: when it can't be read or has errors.
    """

    def __init__(self, ann_file: str, data_prefix: Mapping[str, str], **kwargs) -> None:
        super().__init__(**kwargs)
        self.ann_file = ann_file
        self.folder = data_prefix['img']

    @property
    def dataset_meta(self) -> dict | None:
        """Meta information of the data set; the loop sets it before the first training step."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        self._dataset_meta = dataset_meta
        checked = load_checked(
            self.ann_file,
            Path(self.folder),
            classes=dataset_meta['classes'],
            with_masks='segm' in self.metrics,
        )
        self._coco_api = CheckedCoco(checked.content)
