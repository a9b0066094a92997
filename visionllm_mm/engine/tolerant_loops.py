"""Evaluations that go on past samples that can't be loaded or answered; these are counted and reported."""

import logging

import torch
from mmdet.structures import DetDataSample
from mmengine.dataset import Compose
from mmengine.dist import all_gather_object
from mmengine.registry import LOOPS
from mmengine.runner import TestLoop, ValLoop, autocast

from ..datasets.coco_classes import plain_datasets
from ..datasets.tolerant_pipeline import TolerantPipeline
from ..models.postprocess import empty_prediction

ENOUGH = 8
"""So many samples without an answer, and no other, are no bad samples but a bad config."""


class NothingAnsweredError(ValueError):
    """No sample of an evaluation could be answered; the message has the reason of the first."""


class _Tolerant:
    """What both loops share; before mmengine's loop in the order of bases.

    A sample fails when its image or annotation can't be loaded, see :class:`TolerantPipeline`, or when the model raises
    an error on it. Where a batch fails, its halves are tried one after the other. Training raises all errors.
    """

    mode: str

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.failures: list[tuple[str | None, str]] = []
        self.num_seen = 0
        # mmdet's CocoMetric wants masks of all samples or of none.
        self.expects_masks = any('segm' in getattr(metric, 'metrics', ()) for metric in self.evaluator.metrics)

    def run(self) -> dict:
        for dataset in plain_datasets(self.dataloader.dataset):
            pipeline = getattr(dataset, 'pipeline', None)
            if isinstance(pipeline, Compose) and not isinstance(pipeline, TolerantPipeline):
                dataset.pipeline = TolerantPipeline(pipeline)
        self.failures, self.num_seen = [], 0
        metrics = super().run()
        self._report()
        return metrics

    @torch.no_grad()
    def run_iter(self, idx: int, data_batch: dict) -> None:
        self.runner.call_hook(f'before_{self.mode}_iter', batch_idx=idx, data_batch=data_batch)
        with autocast(enabled=self.fp16):
            outputs = self._predict(data_batch)
        self.num_seen += len(outputs)
        if self.num_seen >= ENOUGH:
            _refuse_if_all_failed(self.failures, self.num_seen)
        self.evaluator.process(data_samples=outputs, data_batch=data_batch)
        self.runner.call_hook(f'after_{self.mode}_iter', batch_idx=idx, data_batch=data_batch, outputs=outputs)

    def _predict(self, data_batch: dict) -> list[DetDataSample]:
        samples = data_batch['data_samples']
        # Known before the others are tried: those of them that fail are marked then, too.
        is_loaded = ['failure' not in sample for sample in samples]
        answered = iter(self._try(_take(data_batch, [i for i, loaded in enumerate(is_loaded) if loaded])))
        return [
            next(answered) if loaded else self._fail(sample, sample.failure)
            for sample, loaded in zip(samples, is_loaded, strict=True)
        ]

    def _try(self, data_batch: dict) -> list[DetDataSample]:
        samples = data_batch['data_samples']
        if not samples:
            return []
        try:
            return list(getattr(self.runner.model, f'{self.mode}_step')(data_batch))
        except Exception as error:  # whatever it is, the other samples are worth an answer
            if len(samples) == 1:
                return [self._fail(samples[0], str(error) or type(error).__name__)]
        half = len(samples) // 2
        return self._try(_take(data_batch, range(half))) + self._try(_take(data_batch, range(half, len(samples))))

    def _fail(self, sample: DetDataSample, reason: str) -> DetDataSample:
        self.failures.append((sample.get('img_path'), reason))
        sample.set_metainfo(dict(failure=reason))
        return empty_prediction(sample, with_masks=self.expects_masks)

    def _report(self) -> None:
        of_processes, num_seen = zip(*all_gather_object((self.failures, self.num_seen)), strict=True)
        failures = [failure for of_one_process in of_processes for failure in of_one_process]
        _refuse_if_all_failed(failures, sum(num_seen))
        if failures:
            listed = '\n'.join(f'  {path}: {reason}' for path, reason in failures[:10])
            self.runner.logger.log(
                logging.WARNING,
                f'{len(failures)} of the samples could not be answered and count as empty answers; the first ones:\n'
                f'{listed}',
            )


@LOOPS.register_module()
class TolerantValLoop(_Tolerant, ValLoop):
    """mmengine's ValLoop, in which a sample that fails gets an empty answer; the log states how many and why.

    Raises:
        NothingAnsweredError: when none of the first samples can be answered, or none at all; with the first reason.
    """

    mode = 'val'


@LOOPS.register_module()
class TolerantTestLoop(_Tolerant, TestLoop):
    """mmengine's TestLoop, with failures as in :class:`TolerantValLoop`.

    Raises:
        NothingAnsweredError: when none of the first samples can be answered, or none at all; with the first reason.
    """

    mode = 'test'


def _take(data_batch: dict, rows: object) -> dict:
    return {key: [values[i] for i in rows] for key, values in data_batch.items()}


def _refuse_if_all_failed(failures: list[tuple[str | None, str]], num_seen: int) -> None:
    if failures and len(failures) == num_seen:
        raise NothingAnsweredError(f'none of {num_seen} samples could be answered; {failures[0][0]}: {failures[0][1]}')
