"""Random seeds that depend on the image, its repeat and the epoch alone."""

import random
import zlib

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS

from ...compat.repeated_samples import current_repeat


@TRANSFORMS.register_module()
class SeedBySample(BaseTransform):
    """Seeds Python's and NumPy's generators from (seed, epoch, image id, repeat), as a pipeline's first transform.

    The repeat counts where a data set or a sampler brings an image again within an epoch, see
    :mod:`visionllm_mm.compat.repeated_samples`.

    Templates, class sets and augmentations then do not depend on the number of processes and workers, and a resumed run
    samples the same values as the uninterrupted one. :class:`SampleSeedHook` sets the epoch. Adds ``noise_seed``, int,
    for noise that the model samples.

    Args:
        seed: base seed.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        # In shared memory, so that persistent workers see the hook's changes.
        self.epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def transform(self, results: dict) -> dict:
        key = f'{self.seed} {int(self.epoch)} {results.get("img_id", results.get("img_path"))}'
        if repeat := current_repeat():
            key += f' {repeat}'
        value = zlib.crc32(key.encode())
        random.seed(value)
        np.random.seed(value)
        results['noise_seed'] = value
        return results
