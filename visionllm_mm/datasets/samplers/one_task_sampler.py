"""Mixes tasks: every batch comes from one data set, the same on all processes."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from mmdet.registry import DATA_SAMPLERS
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import ConcatDataset, Sampler

from ...compat.repeated_samples import SampledAgain


@DATA_SAMPLERS.register_module()
class OneTaskSampler(Sampler):
    """Samples for each batch one of the concatenated data sets by its ratio, then images of it without repetition.

    Within an epoch a data set that is used up is shuffled again. So small data sets are seen several times and large
    ones in part; over several epochs every image is seen.

    Args:
        dataset: a ConcatDataset, one data set per task.
        batch_size: images per batch and process, equal to the dataloader's.
        ratios: how often each data set is sampled, relative to the others, > 0; None: proportional to their sizes.
        num_batches: batches per epoch and process; None: as many as the concatenated data sets fill.
        seed: random seed; None: a seed that all processes share.
        alone: whether this process yields all indices, because the others do not take part.
        first_batch: number of batches of each epoch that are left out, for a run that resumes behind them.

    Raises:
        TypeError: when the data set is no ConcatDataset.
        ValueError: when there is not one positive ratio per data set, or a data set is empty.
    """

    def __init__(
        self,
        dataset: ConcatDataset,
        batch_size: int,
        ratios: Sequence[float] | None = None,
        num_batches: int | None = None,
        seed: int | None = None,
        alone: bool = False,
        first_batch: int = 0,
    ) -> None:
        if not isinstance(dataset, ConcatDataset):
            raise TypeError(
                f'OneTaskSampler needs a ConcatDataset of one data set per task, got {type(dataset).__name__}'
            )
        self.sizes = [len(part) for part in dataset.datasets]
        if min(self.sizes) < 1:
            raise ValueError(f'data set {self.sizes.index(0)} of {len(self.sizes)} is empty: leave it out')
        ratios = self.sizes if ratios is None else ratios
        if len(ratios) != len(self.sizes) or min(ratios) <= 0:
            raise ValueError(f'ratios must be {len(self.sizes)} positive numbers, one per data set, got {list(ratios)}')
        self.first_indices = np.cumsum([0, *self.sizes[:-1]])
        self.probabilities = np.array(ratios, dtype=float) / sum(ratios)
        self.batch_size = batch_size
        self.seed = sync_random_seed() if seed is None else seed
        self.rank, self.world_size = (0, 1) if alone else get_dist_info()
        self.num_batches = num_batches or -(-sum(self.sizes) // (batch_size * self.world_size))
        self.first_batch = first_batch
        self.epoch = 0

    def __len__(self) -> int:
        return (self.num_batches - self.first_batch) * self.batch_size

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng((self.seed, self.epoch))
        permutations = [self._endless_permutations(size, rng) for size in self.sizes]
        for number, task in enumerate(rng.choice(len(self.sizes), self.num_batches, p=self.probabilities)):
            sampled = [next(permutations[task]) for _ in range(self.batch_size * self.world_size)]
            for index, repeat in sampled[self.rank :: self.world_size] if number >= self.first_batch else ():
                yield SampledAgain(int(self.first_indices[task] + index), repeat)

    @staticmethod
    def _endless_permutations(size: int, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
        """Indices below ``size`` in random order, shuffled again and again, and how often each came before."""
        for repeat in itertools.count():
            yield from ((index, repeat) for index in rng.permutation(size))
