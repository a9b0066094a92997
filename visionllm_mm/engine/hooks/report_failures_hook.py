"""Samples that can't be answered do not stop an evaluation; they are counted and reported."""

import logging
from collections.abc import Iterable

from mmdet.registry import HOOKS
from mmengine.dataset import Compose
from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner

from ...datasets.coco_classes import plain_datasets
from ...datasets.tolerant_pipeline import TolerantPipeline

ENOUGH = 8
"""So many samples without an answer, and no other, are no bad samples but a bad config."""


@HOOKS.register_module()
class ReportFailuresHook(Hook):
    """While evaluating, a sample that fails gets an empty answer, and the log says how many there were and why.

    A sample fails when its image or annotation can't be loaded, see :class:`TolerantPipeline`, or when its instruction
    can't be answered. Outside of evaluations both raise. Other detectors are left alone.

    Raises:
        ValueError: when none of the first samples can be answered, or none at all; with the reason of the first.
    """

    def __init__(self) -> None:
        self.num_seen = 0

    def before_val(self, runner: Runner) -> None:
        self._tolerate(runner, [runner.val_loop])

    def before_test(self, runner: Runner) -> None:
        self._tolerate(runner, getattr(runner.test_loop, 'loops', dict(only=runner.test_loop)).values())

    def _tolerate(self, runner: Runner, loops: Iterable[BaseLoop]) -> None:
        if not hasattr(self._model(runner), 'failures'):
            return
        for dataset in (part for loop in loops for part in plain_datasets(loop.dataloader.dataset)):
            if isinstance(getattr(dataset, 'pipeline', None), Compose):
                dataset.pipeline = TolerantPipeline(dataset.pipeline)

    def _before_epoch(self, runner: Runner, mode: str = 'train') -> None:
        if mode != 'train' and hasattr(self._model(runner), 'failures'):
            self._model(runner).failures = []
            self.num_seen = 0

    def _after_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None, mode: str = 'train') -> None:
        if mode != 'train' and getattr(self._model(runner), 'failures', None) is not None:
            self.num_seen += len(outputs)
            if self.num_seen >= ENOUGH:
                self._refuse_if_all_failed(runner, self._model(runner).failures, self.num_seen)

    def _after_epoch(self, runner: Runner, mode: str = 'train') -> None:
        if mode != 'train' and getattr(self._model(runner), 'failures', None) is not None:
            self._report(runner)

    @staticmethod
    def _model(runner: Runner):
        return getattr(runner.model, 'module', runner.model)

    def _refuse_if_all_failed(self, runner: Runner, failures: list[tuple[str | None, str]], num_seen: int) -> None:
        if failures and len(failures) == num_seen:
            self._model(runner).failures = None
            raise ValueError(f'none of {num_seen} samples could be answered; {failures[0][0]}: {failures[0][1]}')

    def _report(self, runner: Runner) -> None:
        mine, self._model(runner).failures = self._model(runner).failures, None
        of_processes, num_seen = zip(*all_gather_object((mine, self.num_seen)), strict=True)
        failures = [failure for of_one_process in of_processes for failure in of_one_process]
        self._refuse_if_all_failed(runner, failures, sum(num_seen))
        if failures:
            listed = '\n'.join(f'  {path}: {reason}' for path, reason in failures[:10])
            runner.logger.log(
                logging.WARNING,
                f'{len(failures)} of the samples could not be answered and count as '
                f'empty answers; the first ones:\n{listed}',
            )
