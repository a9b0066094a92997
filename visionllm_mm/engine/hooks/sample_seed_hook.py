"""A resumed run samples in each epoch what the uninterrupted run samples in it."""

import torch
from mmdet.registry import HOOKS
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...datasets.coco_classes import plain_datasets
from ...datasets.transforms import SeedBySample


@HOOKS.register_module()
class SampleSeedHook(Hook):
    """Sets the epoch of every :class:`SeedBySample` of the training data before the workers start on it.

    And seeds what the model samples, dropout and stochastic depth, by seed, epoch and process.
    """

    def before_train_epoch(self, runner: Runner) -> None:
        torch.manual_seed(runner.seed + runner.epoch * get_world_size() + get_rank())
        for seeder in _seeders(runner.train_dataloader.dataset):
            seeder.epoch.fill_(runner.epoch)


def _seeders(dataset) -> list[SeedBySample]:
    """Seeders in the pipelines of a data set, or of those it wraps."""
    pipelines = [getattr(part, 'pipeline', None) for part in plain_datasets(dataset)]
    return [t for pipeline in pipelines for t in getattr(pipeline, 'transforms', ()) if isinstance(t, SeedBySample)]
