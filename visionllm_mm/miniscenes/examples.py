"""One example: an image with its annotations and texts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .annotations import Instance, annotate_object
from .captions import sample_captions
from .expressions import Expression, sample_expressions
from .questions import Question, sample_conversation
from .render import render_scene
from .scenes import sample_layout
from .vocabulary import SPLIT_PAIRS, SPLITS


@dataclass(frozen=True)
class Example:
    """An image, (size, size, 3) uint8 RGB, its instances from back to front, and its texts."""

    image: np.ndarray
    instances: list[Instance]
    expressions: list[Expression]
    captions: list[str]
    conversation: list[Question]


def make_example(seed: int, split: str, index: int, size: int) -> Example:
    """Make example ``index`` (from 0) of a split; it depends on these four arguments only."""
    rng = np.random.default_rng((seed, SPLITS.index(split), index))
    layout = sample_layout(rng, split, size)
    image = render_scene(rng, layout, size)
    instances = [annotate_object(obj, size) for obj in layout]
    return Example(
        image=image,
        instances=instances,
        expressions=sample_expressions(rng, instances, size),
        captions=sample_captions(rng, instances, size),
        conversation=sample_conversation(rng, instances, size, SPLIT_PAIRS[split]),
    )
