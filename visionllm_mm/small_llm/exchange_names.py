"""Exchanged names in texts about images that are not loaded."""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS

from ..datasets.transforms.flip_with_words import change_texts
from ..instructions import exchange_words


@TRANSFORMS.register_module()
class ExchangeNames(BaseTransform):
    """Exchanges names of objects in all texts of a sample, its ``object_names`` included.

    For image tokens simulated from annotations alone: in a loaded image, objects keep their looks. A small LLM that
    sees few scenes then has to learn what the sentences mean.

    Args:
        names: what may be exchanged, each as the words that go together, such as
            ``(('red', 'star', 'stars'), ('green', 'heart', 'hearts'))``: where red becomes green, stars become hearts.

    Raises:
        ValueError: when the words that go together differ in number, or a sample has an image.
    """

    def __init__(self, names: Sequence[Sequence[str]]) -> None:
        if len({len(words) for words in names}) > 1:
            raise ValueError(f'ExchangeNames: all names need the same number of words, got {list(names)}')
        self.names = [tuple(words) for words in names]

    def transform(self, results: dict) -> dict:
        if 'img' in results:
            raise ValueError(
                f'ExchangeNames: {results.get("img_path")} is loaded, and would not look as it is called: '
                'take this transform, or LoadImageFromFile, out of the pipeline'
            )
        order = np.random.permutation(len(self.names))
        words = {old: new for i, j in enumerate(order) for old, new in zip(self.names[i], self.names[j], strict=True)}
        change_texts(results, lambda text: exchange_words(text, words))
        return results
