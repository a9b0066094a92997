"""Random draws of a pipeline depend on image and epoch, not on workers."""

import random

import numpy as np
import pytest
from torch.utils.data import DataLoader, Dataset

from visionllm_mm.datasets import SeedBySample


class _Draws(Dataset):
    """Draws from both generators after seeding; what it returns is (image, draws)."""

    def __init__(self, seeder):
        self.seeder = seeder

    def __len__(self):
        return 12

    def __getitem__(self, index):
        self.seeder(dict(img_id=index))
        return index, np.random.rand(), random.random()


def _epoch(loader):
    return {index: draws for index, *draws in loader}


@pytest.mark.filterwarnings('ignore:This DataLoader will create')  # of a machine with few cores
def test_draws_do_not_depend_on_the_number_of_workers():
    seeder = SeedBySample()
    loaders = [DataLoader(_Draws(seeder), batch_size=None, num_workers=n, shuffle=bool(n)) for n in (0, 1, 3)]
    plain, *others = (_epoch(loader) for loader in loaders)
    assert others == [plain] * 2 and len({tuple(draws) for draws in plain.values()}) == 12


def test_persistent_workers_see_the_next_epoch():
    seeder = SeedBySample()
    loader = DataLoader(_Draws(seeder), batch_size=None, num_workers=2, persistent_workers=True)
    first, again = _epoch(loader), _epoch(loader)
    seeder.epoch.fill_(1)
    second = _epoch(loader)
    seeder.epoch.fill_(0)
    assert first == again == _epoch(loader)
    assert all(first[i] != second[i] for i in range(12))


@pytest.mark.parametrize('change', [dict(seed=1), dict(epoch=1), dict(img_id='b')])
def test_seed_epoch_and_image_all_count(change):
    def draw(seed=0, epoch=0, img_id='a'):
        seeder = SeedBySample(seed)
        seeder.epoch.fill_(epoch)
        results = seeder(dict(img_id=img_id))
        return np.random.rand(), random.random(), results.pop('noise_seed'), results

    assert draw() == draw() and all(a != b for a, b in zip(draw(**change)[:3], draw()[:3], strict=True))
    assert draw()[3] == dict(img_id='a')


def test_path_stands_in_for_a_missing_id():
    def draw(path):
        SeedBySample()(dict(img_path=path))
        return np.random.rand()

    assert draw('a.png') == draw('a.png') != draw('b.png')
