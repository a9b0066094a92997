"""Batches of one task each."""

from collections import Counter

import numpy as np
import pytest
from torch.utils.data import ConcatDataset

from visionllm_mm.datasets import OneTaskSampler
from visionllm_mm.datasets.samplers import one_task_sampler

JOINED = ConcatDataset([range(40), range(8), range(120)])


def _task(index):
    return int(np.searchsorted([40, 48], index, side='right'))


def _batches(sampler):
    indices = list(sampler)
    assert len(indices) == len(sampler)
    return [indices[i : i + sampler.batch_size] for i in range(0, len(indices), sampler.batch_size)]


def test_every_batch_is_of_one_task_and_draws_are_as_asked():
    counts = Counter()
    sampler = OneTaskSampler(JOINED, batch_size=4, ratios=(2, 1, 1), seed=0)
    for epoch in range(30):
        sampler.set_epoch(epoch)
        for batch in _batches(sampler):
            assert len({_task(index) for index in batch}) == 1
            counts[_task(batch[0])] += 1
    assert sum(counts.values()) == 30 * 42
    assert [counts[task] / sum(counts.values()) for task in range(3)] == pytest.approx([0.5, 0.25, 0.25], abs=0.04)


def test_an_epoch_repeats_no_image_before_all_were_seen():
    sampler = OneTaskSampler(JOINED, batch_size=4, ratios=(1, 3, 1), seed=1)
    sampled = [index for batch in _batches(sampler) for index in batch]
    for low, high in ((0, 40), (40, 48), (48, 168)):
        part = [index for index in sampled if low <= index < high]
        size = high - low
        for start in range(0, len(part), size):
            assert len(set(part[start : start + size])) == len(part[start : start + size])


def test_sizes_are_the_default_ratios():
    sampler = OneTaskSampler(JOINED, batch_size=4, seed=0)
    np.testing.assert_allclose(sampler.probabilities, [40 / 168, 8 / 168, 120 / 168])


def test_epochs_may_be_short():
    assert len(_batches(OneTaskSampler(JOINED, batch_size=4, num_batches=5, seed=0))) == 5


def test_epochs_differ_and_come_again():
    sampler = OneTaskSampler(JOINED, batch_size=4, seed=0)
    first = list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first
    sampler.set_epoch(0)
    assert list(sampler) == first


def test_processes_share_the_task_and_no_image(monkeypatch):
    ranks = []
    for rank in range(2):
        monkeypatch.setattr(one_task_sampler, 'get_dist_info', lambda rank=rank: (rank, 2))
        ranks.append(_batches(OneTaskSampler(JOINED, batch_size=4, ratios=(1, 1, 1), seed=0)))
    assert len(ranks[0]) == len(ranks[1]) == 21
    for one, other in zip(*ranks, strict=True):
        assert {_task(index) for index in one} == {_task(index) for index in other}
        assert not set(one) & set(other)


def test_one_process_may_draw_alone(monkeypatch):
    expected = list(OneTaskSampler(JOINED, batch_size=4, ratios=(1, 1, 1), seed=0))
    monkeypatch.setattr(one_task_sampler, 'get_dist_info', lambda: (0, 2))
    assert list(OneTaskSampler(JOINED, batch_size=4, ratios=(1, 1, 1), seed=0, alone=True)) == expected


@pytest.mark.parametrize('ratios', [(1, 1), (1, 0, 1), (1, 1, 1, 1)])
def test_bad_ratios_are_errors(ratios):
    with pytest.raises(ValueError, match='3 positive numbers'):
        OneTaskSampler(JOINED, batch_size=4, ratios=ratios, seed=0)


def test_an_empty_data_set_is_an_error():
    with pytest.raises(ValueError, match='data set 1 of 2 is empty'):
        OneTaskSampler(ConcatDataset([range(4), range(0)]), batch_size=2, ratios=(1, 1), seed=0)


def test_one_data_set_alone_is_an_error():
    with pytest.raises(TypeError, match='ConcatDataset'):
        OneTaskSampler(range(4), batch_size=2, seed=0)
