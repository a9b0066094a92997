"""mmengine's data sets and samplers state which repeat of a sample is asked for, so that it is no exact copy.

A pipeline sees the annotations of an image, and not that the image is there a second time: by RepeatDataset,
ClassBalancedDataset, ConcatDataset, or a sampler that begins again without a new epoch.
"""

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import wraps

from mmengine.dataset import BaseDataset, ClassBalancedDataset, ConcatDataset, InfiniteSampler, RepeatDataset

_repeats: ContextVar[tuple[int, ...]] = ContextVar('repeats', default=())


class SampledAgain(int):
    """An index that a sampler yields, with how often it has yielded it before.

    Args:
        index: the index.
        repeat: 0 for the first time.
    """

    def __new__(cls, index: int, repeat: int = 0) -> 'SampledAgain':
        sampled = super().__new__(cls, index)
        sampled.repeat = repeat
        return sampled


def current_repeat() -> tuple[int, ...]:
    """Which repeat of a sample is asked for, from the outermost data set to the innermost; empty: its first place."""
    repeats = _repeats.get()
    return repeats if any(repeats) else ()


def install() -> None:
    """Lets mmengine's classes state repeats; a second call changes nothing."""
    _state_repeats(BaseDataset, lambda dataset, index: 0)
    _state_repeats(RepeatDataset, lambda dataset, index: index % len(dataset) // dataset._ori_len)
    _state_repeats(ClassBalancedDataset, _balanced_repeat)
    _state_repeats(ConcatDataset, lambda dataset, index: dataset._get_ori_dataset_idx(index)[0])
    _count_passes(InfiniteSampler)


def _balanced_repeat(dataset: ClassBalancedDataset, index: int) -> int:
    index %= len(dataset)
    return dataset.repeat_indices[:index].count(dataset.repeat_indices[index])


def _state_repeats(dataset_class: type, repeat_of: Callable[[object, int], int]) -> None:
    original = dataset_class.__getitem__
    if hasattr(original, '__wrapped__'):
        return

    @wraps(original)
    def getitem(self, index: int) -> object:
        if not self._fully_initialized:
            self.full_init()
        token = _repeats.set((*_repeats.get(), getattr(index, 'repeat', 0), repeat_of(self, index)))
        try:
            return original(self, index)
        finally:
            _repeats.reset(token)

    dataset_class.__getitem__ = getitem


def _count_passes(sampler_class: type) -> None:
    original = sampler_class._infinite_indices
    if hasattr(original, '__wrapped__'):
        return

    @wraps(original)
    def infinite_indices(self) -> Iterator[int]:
        for number, index in enumerate(original(self)):
            yield SampledAgain(index, number // self.size)

    sampler_class._infinite_indices = infinite_indices
