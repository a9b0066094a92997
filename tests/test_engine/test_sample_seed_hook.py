"""The epoch reaches every seeder of the training data."""

from types import SimpleNamespace

import numpy as np
import torch

from visionllm_mm.datasets import SeedBySample
from visionllm_mm.engine import SampleSeedHook


def _dataset(*transforms):
    return SimpleNamespace(pipeline=SimpleNamespace(transforms=list(transforms)))


def _start(dataset, epoch):
    SampleSeedHook().before_train_epoch(
        SimpleNamespace(seed=0, epoch=epoch, train_dataloader=SimpleNamespace(dataset=dataset))
    )


def test_epoch_reaches_seeders_in_wrapped_and_joined_data_sets():
    seeders = [SeedBySample(seed) for seed in range(4)]
    plain, two = _dataset(seeders[0]), _dataset(object(), seeders[1], seeders[2])
    joined = SimpleNamespace(
        datasets=[plain, SimpleNamespace(dataset=two), SimpleNamespace(datasets=[_dataset(seeders[3])])]
    )
    for epoch in (3, 4):
        _start(joined, epoch)
        assert [int(seeder.epoch) for seeder in seeders] == [epoch] * 4


def test_epochs_draw_differently_and_again_alike():
    seeder, sampled = SeedBySample(), {}
    for epoch in (0, 1, 0):
        _start(_dataset(seeder), epoch)
        seeder(dict(img_id=1))
        value = np.random.rand(), torch.rand(1).item()  # in the pipeline, and in the model
        assert sampled.setdefault(epoch, value) == value
    assert all(len(set(values)) == 2 for values in zip(*sampled.values(), strict=True))


def test_data_without_seeder_is_left_alone():
    _start(_dataset(object()), 1)
    _start(SimpleNamespace(), 1)
