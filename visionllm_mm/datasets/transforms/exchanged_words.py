"""Other samples from texts about images: things with other names, and mirrored images whose texts stay true."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.datasets.transforms import RandomFlip
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import autocast_box_type

from ...instructions import exchange_words

# What samples of texts hold, see CaptionDataset, ConversationDataset and ReferringExpressionDataset.
_TEXTS = ('text', 'question', 'history', 'gt_caption', 'object_names')


def _change_texts(results: dict, change: Callable[[str], str]) -> None:
    for key in _TEXTS:
        value = results.get(key)
        if isinstance(value, str):
            results[key] = change(value)
        elif value is not None:
            results[key] = type(value)(change(text) for text in value)


@TRANSFORMS.register_module()
class ExchangeNames(BaseTransform):
    """Calls things by each other's names in all texts of a sample, its ``object_names`` included.

    For described images alone: what an image shows keeps its looks. A small LLM that learns from few scenes thus has to
    learn what the sentences mean.

    Args:
        names: what may take each other's places, each as the words that go together, such as
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
            raise ValueError(f'ExchangeNames: {results.get("img_path")} is loaded, and would not look as it is called: '
                             'take this transform, or LoadImageFromFile, out of the pipeline')
        order = np.random.permutation(len(self.names))
        words = {old: new for i, j in enumerate(order)
                 for old, new in zip(self.names[i], self.names[j], strict=True)}
        _change_texts(results, lambda text: exchange_words(text, words))
        return results


@TRANSFORMS.register_module()
class RandomFlipWithWords(RandomFlip):
    """mmdet's RandomFlip for images that texts are about, or that texts describe: left and right change places in them.

    Args:
        words: direction -> pairs of words that change places, such as ``dict(horizontal=(('left', 'right'),))``; of
            a ``diagonal`` flip, those of both others do.
        kwargs: see mmdet's RandomFlip.
    """

    def __init__(self, words: Mapping[str, Sequence[tuple[str, str]]], **kwargs) -> None:
        super().__init__(**kwargs)
        self.words = {direction: {old: new for pair in pairs for old, new in (pair, pair[::-1])}
                      for direction, pairs in words.items()}
        self.words['diagonal'] = self.words.get('horizontal', {}) | self.words.get('vertical', {})

    @autocast_box_type()
    def _flip(self, results: dict) -> None:
        direction = results['flip_direction']
        if 'img' in results:
            super()._flip(results)
        else:
            results['gt_bboxes'].flip_(results['img_shape'], direction)
        _change_texts(results, lambda text: exchange_words(text, self.words.get(direction, {})))
