"""Repeats of an image within an epoch are no exact copies."""

import itertools
import pickle

import numpy as np
import pytest
from mmdet.datasets import ConcatDataset as MMDetConcatDataset
from mmengine.dataset import BaseDataset, ClassBalancedDataset, ConcatDataset, InfiniteSampler, RepeatDataset
from torch.utils.data import DataLoader

from visionllm_mm.compat import repeated_samples
from visionllm_mm.compat.repeated_samples import SampledAgain, current_repeat
from visionllm_mm.datasets import OneTaskSampler, SeedBySample


class _Images(BaseDataset):
    """Four images, of which the last one shows a rare class; a sample is (image, what is drawn, the noise's seed)."""

    def load_data_list(self):
        return [dict(img_id=i) for i in range(4)]

    def get_cat_ids(self, index):
        return [int(index == 3)]


def _draw(results):
    return results['img_id'], np.random.rand(), results['noise_seed']


def _images():
    return _Images(pipeline=[SeedBySample(), _draw], serialize_data=False)


def _repeat(dataset):
    """What a config gets; RepeatDataset takes other wrappers as configs alone."""
    repeated = RepeatDataset(_images(), times=2)
    repeated.dataset, repeated._ori_len = dataset, len(dataset)
    return repeated


def _wrapped():
    balanced = ClassBalancedDataset(_images(), oversample_thr=0.8)
    return dict(
        repeated=RepeatDataset(_images(), times=3),
        balanced=balanced,
        joined=ConcatDataset([_images(), _images()]),
        mmdet=MMDetConcatDataset([_images(), _images(), _images()]),
        both=_repeat(ConcatDataset([_images(), _images()])),
    )


WRAPPERS = list(_wrapped())


@pytest.mark.parametrize('name', WRAPPERS)
def test_no_two_samples_are_equal(name):
    dataset = _wrapped()[name]
    assert len(dataset) > 4
    samples = [dataset[i] for i in range(len(dataset))]
    assert len({sample[1:] for sample in samples}) == len(samples)
    assert samples == [dataset[i] for i in range(len(dataset))]
    assert [dataset[i - len(dataset)] for i in range(len(dataset))] == samples


@pytest.mark.parametrize('name', WRAPPERS)
def test_the_first_place_of_an_image_draws_as_without_a_wrapper(name):
    dataset, images = _wrapped()[name], _images()
    first = {}
    for i in range(len(dataset)):
        image, *drawn = dataset[i]
        first.setdefault(image, drawn)
    assert first == {image: drawn for image, *drawn in (images[i] for i in range(4))}


@pytest.mark.filterwarnings('ignore:This DataLoader will create')  # of a machine with few cores
def test_draws_do_not_depend_on_workers():
    dataset = _wrapped()['both']
    plain, *others = (
        {tuple(sample) for sample in DataLoader(dataset, batch_size=None, num_workers=n, shuffle=bool(n))}
        for n in (0, 1, 3)
    )
    assert len(plain) == 16 and others == [plain, plain]


def test_each_pass_of_an_endless_sampler_draws_anew():
    dataset = _images()
    indices = list(itertools.islice(iter(InfiniteSampler(dataset, seed=0)), 12))
    samples = [dataset[index] for index in indices]
    assert len({sample[1:] for sample in samples}) == 12
    assert sorted(samples[:4]) == [dataset[i] for i in range(4)]
    resumed = InfiniteSampler(dataset, seed=0)
    resumed.skip(5)
    assert [dataset[index] for index in itertools.islice(iter(resumed), 7)] == samples[5:]


@pytest.mark.filterwarnings('ignore:This DataLoader will create')
def test_a_task_that_is_used_up_draws_anew():
    dataset = ConcatDataset([_images(), _images()])
    sampler = OneTaskSampler(dataset, batch_size=2, num_batches=12, seed=0)
    alone = [dataset[index] for index in sampler]
    assert len({sample[1:] for sample in alone}) == len(alone) == 24
    assert [tuple(s) for s in DataLoader(dataset, batch_size=None, sampler=sampler, num_workers=2)] == alone


def test_indices_keep_their_repeat_on_the_way_to_a_worker():
    index = pickle.loads(pickle.dumps(SampledAgain(7, 3)))
    assert index == 7 and index.repeat == 3 and SampledAgain(7).repeat == 0


def test_an_error_leaves_nothing_behind():
    dataset = RepeatDataset(_images(), times=2)
    dataset.dataset.pipeline.transforms.insert(0, lambda results: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        dataset[5]
    assert current_repeat() == ()


def test_installing_twice_changes_nothing():
    before = [kind.__getitem__ for kind in (BaseDataset, RepeatDataset, ClassBalancedDataset, ConcatDataset)]
    repeated_samples.install()
    assert before == [kind.__getitem__ for kind in (BaseDataset, RepeatDataset, ClassBalancedDataset, ConcatDataset)]
