"""Samples that can't be answered do not stop an evaluation; they are counted and reported."""

import logging
from collections.abc import Iterable

from mmdet.registry import HOOKS
from mmengine.dataset import Compose
from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner

from ...datasets.tolerant_pipeline import TolerantPipeline


@HOOKS.register_module()
class ReportFailuresHook(Hook):
    """While evaluating, a sample that fails gets an empty answer, and the log says how many there were and why.

    A sample fails when its image or annotation can't be loaded, see :class:`TolerantPipeline`, or when its instruction
    can't be answered. Outside of evaluations both raise. Other detectors are left alone.

    Raises:
        ValueError: when no sample of the first batch can be answered.
    """

    def before_val(self, runner: Runner) -> None:
        self._tolerate(runner, [runner.val_loop])

    def before_test(self, runner: Runner) -> None:
        self._tolerate(runner, getattr(runner.test_loop, 'loops', dict(only=runner.test_loop)).values())

    def _tolerate(self, runner: Runner, loops: Iterable[BaseLoop]) -> None:
        if not hasattr(self._model(runner), 'failures'):
            return
        for loop in loops:
            dataset = loop.dataloader.dataset
            if isinstance(getattr(dataset, 'pipeline', None), Compose):
                dataset.pipeline = TolerantPipeline(dataset.pipeline)

    def _before_epoch(self, runner: Runner, mode: str = 'train') -> None:
        if mode != 'train':
            self._start(runner)

    def _after_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None, mode: str = 'train') -> None:
        if mode != 'train':
            self._refuse_if_all_fail(runner, batch_idx, outputs)

    def _after_epoch(self, runner: Runner, mode: str = 'train') -> None:
        if mode != 'train':
            self._report(runner)

    @staticmethod
    def _model(runner: Runner):
        return getattr(runner.model, 'module', runner.model)

    def _start(self, runner: Runner) -> None:
        if hasattr(self._model(runner), 'failures'):
            self._model(runner).failures = []

    def _refuse_if_all_fail(self, runner: Runner, batch_idx: int, outputs) -> None:
        """A first batch without any answer is no bad sample but a bad config."""
        failures = getattr(self._model(runner), 'failures', None)
        if batch_idx == 0 and failures and len(failures) == len(outputs) > 1:
            self._model(runner).failures = None
            raise ValueError(f'no sample of the first batch could be answered; the first one: {failures[0][1]}')

    def _report(self, runner: Runner) -> None:
        failures = getattr(self._model(runner), 'failures', None)
        if failures is None:
            return
        self._model(runner).failures = None
        failures = [failure for of_one_rank in all_gather_object(failures) for failure in of_one_rank]
        if failures:
            listed = '\n'.join(f'  {path}: {reason}' for path, reason in failures[:10])
            runner.logger.log(logging.WARNING, f'{len(failures)} of the samples could not be answered and count as '
                              f'empty answers; the first ones:\n{listed}')
