"""Renders predictions in evaluations that go on after images that can't be loaded."""

from collections.abc import Sequence

from mmdet.engine.hooks import DetVisualizationHook
from mmdet.registry import HOOKS
from mmdet.structures import DetDataSample
from mmengine.runner import Runner


@HOOKS.register_module()
class TolerantVisualizationHook(DetVisualizationHook):
    """mmdet's DetVisualizationHook, which reads images again; samples that could not be loaded are left out."""

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[DetDataSample]
    ) -> None:
        loaded = [sample for sample in outputs if 'failure' not in sample]
        if loaded:
            super().after_val_iter(runner, batch_idx, data_batch, loaded)

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[DetDataSample]
    ) -> None:
        super().after_test_iter(
            runner, batch_idx, data_batch, [sample for sample in outputs if 'failure' not in sample]
        )
