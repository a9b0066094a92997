"""AP of groups of classes, such as classes seen and not seen in training."""

import math
from collections.abc import Mapping, Sequence

from mmdet.evaluation import CocoMetric
from mmdet.registry import METRICS


@METRICS.register_module()
class ClassGroupsMetric(CocoMetric):
    """mmdet's CocoMetric, and the mean AP of groups of classes: ``bbox_mAP_<group>`` (of the last of its metrics).

    Args:
        args: see mmdet's CocoMetric.
        groups: class names by group. Classes without an annotated object do not count.
        kwargs: see mmdet's CocoMetric.

    Raises:
        ValueError: when a group names a class that the data set lacks.
    """

    def __init__(self, *args, groups: Mapping[str, Sequence[str]], **kwargs) -> None:
        super().__init__(*args, classwise=True, **kwargs)
        self.groups = groups

    def compute_metrics(self, results: list) -> dict[str, float]:
        unknown = sorted({name for names in self.groups.values() for name in names} - set(self.dataset_meta['classes']))
        if unknown:
            raise ValueError(f'groups name {unknown}, which are no classes of the data set')
        metrics = super().compute_metrics(results)
        precisions = {name: metrics.pop(f'{name}_precision', math.nan) for name in self.dataset_meta['classes']}
        for group, names in self.groups.items():
            known = [precisions[name] for name in names if not math.isnan(precisions[name])]
            if known:
                metrics[f'{self.metrics[-1]}_mAP_{group}'] = sum(known) / len(known)
        return metrics
