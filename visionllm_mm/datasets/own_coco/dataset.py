"""Data sets of own pictures in COCO format."""

from collections.abc import Iterator, Mapping

from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS

from .check import load_checked
from .coco_api import CheckedCoco
from .report import Report


@DATASETS.register_module()
class OwnCocoDataset(CocoDataset):
    """mmdet's CocoDataset, which loses no annotation without a word.

    What exporters write in other forms is read; what can't be used is left out and counted in ``report``, and a file
    that must be misread is refused. Classes are read by name, whatever their order in the file. Outlines are checked
    where the pipeline loads masks. The rules stand in docs/finetune.md.

    Raises:
        FileNotFoundError: when the annotation file is missing.
        ValueError: when it can't be read or has errors; the message names the file, the entry and the remedy.
    """

    report: Report

    def COCOAPI(self, path: str) -> CheckedCoco:
        """What mmdet makes an API of the file with."""
        checked = load_checked(
            path, self.data_prefix['img'] or '.', classes=self.metainfo['classes'], with_masks=self.with_masks
        )
        self.report = checked.report
        return CheckedCoco(checked.content)

    @property
    def with_masks(self) -> bool:
        """Whether the pipeline loads masks."""
        return any(getattr(transform, 'with_mask', False) for transform in self.pipeline.transforms)


def own_datasets(part: object) -> Iterator[Mapping]:
    """Configs of the :class:`OwnCocoDataset` in a part of a config, at any depth."""
    if isinstance(part, Mapping):
        if part.get('type') in (OwnCocoDataset, OwnCocoDataset.__name__):
            yield part
            return
        part = list(part.values())
    for inner in part if isinstance(part, (list, tuple)) else ():
        yield from own_datasets(inner)
