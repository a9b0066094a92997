"""Tells the pipeline which epoch it is."""

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...datasets.transforms import SeedBySample


@HOOKS.register_module()
class SampleSeedHook(Hook):
    """Sets the epoch of every :class:`SeedBySample` of the training data before the workers start on it."""

    def before_train_epoch(self, runner: Runner) -> None:
        for seeder in _seeders(runner.train_dataloader.dataset):
            seeder.epoch.fill_(runner.epoch)


def _seeders(dataset) -> list[SeedBySample]:
    """Seeders in the pipelines of a data set and of those it wraps."""
    inner = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    found = [seeder for part in inner if part is not None for seeder in _seeders(part)]
    pipeline = getattr(dataset, 'pipeline', None)
    found += [t for t in getattr(pipeline, 'transforms', ()) if isinstance(t, SeedBySample)]
    return found
