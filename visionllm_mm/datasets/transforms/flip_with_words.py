"""Flips of images whose texts mention directions, and changes of all texts of a sample."""

from collections.abc import Callable, Mapping, Sequence

from mmdet.datasets.transforms import RandomFlip
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import autocast_box_type

from ...instructions import exchange_words

# Keys of samples that hold texts, see CaptionDataset, ConversationDataset and ReferringExpressionDataset.
_TEXTS = ('text', 'question', 'history', 'gt_caption', 'object_names')


def change_texts(results: dict, change: Callable[[str], str]) -> None:
    """Applies a function to all texts of a sample, in place."""
    for key in _TEXTS:
        value = results.get(key)
        if isinstance(value, str):
            results[key] = change(value)
        elif value is not None:
            results[key] = type(value)(change(text) for text in value)


@TRANSFORMS.register_module()
class RandomFlipWithWords(RandomFlip):
    """mmdet's RandomFlip for images with texts: words such as left and right are exchanged in the texts.

    Args:
        words: direction -> pairs of words to exchange, such as ``dict(horizontal=(('left', 'right'),))``; a
            ``diagonal`` flip exchanges those of both other directions.
        kwargs: see mmdet's RandomFlip.
    """

    def __init__(self, words: Mapping[str, Sequence[tuple[str, str]]], **kwargs) -> None:
        super().__init__(**kwargs)
        self.words = {
            direction: {old: new for pair in pairs for old, new in (pair, pair[::-1])}
            for direction, pairs in words.items()
        }
        self.words['diagonal'] = self.words.get('horizontal', {}) | self.words.get('vertical', {})

    @autocast_box_type()
    def _flip(self, results: dict) -> None:
        direction = results['flip_direction']
        if 'img' in results:
            super()._flip(results)
        else:
            results['gt_bboxes'].flip_(results['img_shape'], direction)
        change_texts(results, lambda text: exchange_words(text, self.words.get(direction, {})))
