"""The tokens that VisionLLM adds to the LLM's vocabulary (paper, section 3.3 and appendix).

Added tokens have ids of their own, 0 .. ``size`` - 1, apart from the ids of the LLM's own tokens: the base model's
embedding table is never resized, so any frozen LLM can be used as it is.
"""

import re
from dataclasses import dataclass

import numpy as np

from .names import shorten

IMAGE_PLACEHOLDER = '<image>'
NO_OBJECT = '<none>'
CLASS_QUERY = '<cls>'
TEXT_START = '<bos>'


@dataclass(frozen=True)
class Vocabulary:
    """Class, location and format tokens and their ids.

    Id order: ``<c0> .. <c{num_classes-1}>``, ``<none>``, ``<p-range> .. <p{range}>``, ``<cls>``,
    ``<x1> <y1> .. <x{max_points}> <y{max_points}>``.

    Args:
        num_classes: number of class tokens, the largest number of classes in one instruction (paper: 512).
        coord_range: R; location tokens ``<p-R> .. <pR>`` stand for offsets i / R of the image's width or height from
            a token's center, so 2R + 1 bins (paper: R = 512).
        max_points: the largest number of points N of an output format (paper: 24).

    Raises:
        ValueError: when a size is not positive.
    """

    num_classes: int = 512
    coord_range: int = 512
    max_points: int = 24

    def __post_init__(self) -> None:
        for name in ('num_classes', 'coord_range', 'max_points'):
            if getattr(self, name) < 1:
                raise ValueError(f'Vocabulary: {name} must be at least 1, got {getattr(self, name)}')

    @property
    def num_bins(self) -> int:
        return 2 * self.coord_range + 1

    @property
    def none_id(self) -> int:
        """Id of ``<none>``: the class of image tokens that describe no object of the set."""
        return self.num_classes

    @property
    def location_start(self) -> int:
        """Id of ``<p-R>``; bin b has id ``location_start + b``."""
        return self.num_classes + 1

    @property
    def format_start(self) -> int:
        return self.location_start + self.num_bins

    @property
    def size(self) -> int:
        return self.format_start + 1 + 2 * self.max_points

    def token_id(self, token: str) -> int:
        """Id of an added token by its text, such as ``<c3>``, ``<p-17>``, ``<cls>`` or ``<x2>``.

        Args:
            token: the text, with its brackets.

        Raises:
            ValueError: when this vocabulary has no such token, or writes it otherwise: ``<c00>`` is none of its texts.
        """
        if token == CLASS_QUERY:
            return self.format_start
        if token == NO_OBJECT:
            return self.none_id
        match = re.fullmatch(r'<([cpxy])(-?\d{1,9})>', token)
        if match:
            kind, index = match[1], int(match[2])
            if token != f'<{kind}{index}>':
                raise ValueError(f'{token!r} is not in the vocabulary: write <{kind}{index}>')
            if kind == 'c' and 0 <= index < self.num_classes:
                return index
            if kind == 'p' and abs(index) <= self.coord_range:
                return self.location_start + self.coord_range + index
            if kind in 'xy' and 1 <= index <= self.max_points:
                return self.format_start + 2 * index - (kind == 'x')
        raise ValueError(
            f'{shorten(token)} is not in the vocabulary, which has <c0> .. <c{self.num_classes - 1}>, '
            f'<p-{self.coord_range}> .. <p{self.coord_range}>, <none>, <cls> and '
            f'<x1> <y1> .. <x{self.max_points}> <y{self.max_points}>'
        )

    def format_ids(self, output_format: tuple[str, ...]) -> list[int]:
        """Ids of the tokens of an output format, e.g. of ``('<cls>', '<x1>', '<y1>', '<x2>', '<y2>')``."""
        return [self.token_id(token) for token in output_format]

    def encode_offsets(self, offsets_norm: np.ndarray) -> np.ndarray:
        """Nearest bins of offsets.

        Args:
            offsets_norm: any shape; offsets from a center in units of the image's width or height. Values outside
                [-1, 1] are clamped: no location token stands for them.

        Returns:
            int64, same shape, values 0 .. 2R.
        """
        clamped = np.clip(offsets_norm, -1.0, 1.0)
        return np.rint(clamped * self.coord_range).astype(np.int64) + self.coord_range

    def decode_offsets(self, bins: np.ndarray) -> np.ndarray:
        """Offsets in [-1, 1] (float64) of bins 0 .. 2R, fractional bins included."""
        return np.asarray(bins, dtype=np.float64) / self.coord_range - 1.0


def point_format(num_points: int) -> tuple[str, ...]:
    """Output format of a class and N points: ``<cls> <x1> <y1> .. <xN> <yN>`` (N = 2 is a box)."""
    if num_points < 1:
        raise ValueError(f'an output format needs at least one point, got {num_points}')
    points = (f'<{axis}{i}>' for i in range(1, num_points + 1) for axis in 'xy')
    return (CLASS_QUERY, *points)
