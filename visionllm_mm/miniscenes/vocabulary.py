"""Names: shapes, colors, their pairs, the pairs held out of training, and kinds of objects."""

from __future__ import annotations

from typing import NamedTuple

from .shapes import OUTLINES

SHAPES: tuple[str, ...] = tuple(OUTLINES)
# Name -> RGB, 0..255.
PALETTE: dict[str, tuple[int, int, int]] = {
    'red': (214, 35, 40),
    'green': (40, 160, 50),
    'blue': (40, 80, 220),
    'yellow': (245, 220, 50),
    'purple': (150, 55, 190),
    'orange': (250, 135, 20),
    'cyan': (50, 205, 215),
    'white': (245, 245, 245),
}
COLORS: tuple[str, ...] = tuple(PALETTE)
PAIRS: tuple[tuple[str, str], ...] = tuple((c, s) for c in COLORS for s in SHAPES)
# These (color, shape) pairs never occur in the training images or in the training texts. Every
# color and every shape is in exactly one of them, so both stay uniformly distributed in training.
HELD_OUT_PAIRS: tuple[tuple[str, str], ...] = (
    ('red', 'star'),
    ('green', 'heart'),
    ('blue', 'triangle'),
    ('yellow', 'ring'),
    ('purple', 'square'),
    ('orange', 'crescent'),
    ('cyan', 'circle'),
    ('white', 'cross'),
)
TRAIN_PAIRS: tuple[tuple[str, str], ...] = tuple(p for p in PAIRS if p not in HELD_OUT_PAIRS)
SPLITS: tuple[str, ...] = ('train', 'val')
SPLIT_PAIRS: dict[str, tuple[tuple[str, str], ...]] = {'train': TRAIN_PAIRS, 'val': PAIRS}

NUMBER_WORDS: tuple[str, ...] = ('no', 'one', 'two', 'three', 'four', 'five', 'six')


class Kind(NamedTuple):
    """A kind of object by color, by shape, by both, or any object at all (None, None)."""

    color: str | None = None
    shape: str | None = None

    def matches(self, obj) -> bool:
        """Whether an object (with ``color`` and ``shape``) is of this kind."""
        return self.color in (None, obj.color) and self.shape in (None, obj.shape)

    @property
    def singular(self) -> str:
        noun = self.shape or 'object'
        return f'{self.color} {noun}' if self.color else noun

    @property
    def plural(self) -> str:
        return self.singular + ('es' if self.shape == 'cross' else 's')

    @property
    def with_article(self) -> str:
        name = self.singular
        return f'an {name}' if name[0] in 'aeiou' else f'a {name}'


ANY_OBJECT = Kind()
