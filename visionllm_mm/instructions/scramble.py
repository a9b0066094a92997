"""Scrambled templates, from which the LLM learns to read formats whatever words stand around them (design 3.7)."""

import json
import re
from collections.abc import Sequence

import numpy as np

from .builder import write_format
from .parser import FORMAT, POINT_NAMES
from .vocabulary import point_format

# What carries meaning for the format: sets and lists, formats, the image, the range's number, what asks for words.
_KEPT = re.compile(r'(\{.*\}|\[.*\]|\([^()]*\)|<image>|\brange\s+\d+|\?)', re.DOTALL)


def separate_notation(text: str) -> str:
    """The text with spaces around its class set, format, image and range, as scrambled texts have them.

    A tokenizer may write "}," as one token, which scrambled texts don't hold: the LLM would read other tokens than it
    has learned from.
    """
    return ' '.join(piece.strip() for piece in _KEPT.split(text) if piece.strip())


def scramble_instruction(text: str, words: Sequence[str], rng: np.random.RandomState, keep_prob: float = 0.7) -> str:
    """Leaves out words, and puts others in their place or between them.

    Args:
        text: an instruction.
        words: to draw from.
        rng: source of randomness.
        keep_prob: probability of a word to stay, in [0, 1].

    Returns:
        The instruction with the same class set, formats, range and image, in the same order.
    """
    pieces = []
    for i, piece in enumerate(_KEPT.split(text)):
        if i % 2:
            pieces.append(piece)
            continue
        said = []
        for word in piece.split():
            if rng.random_sample() < keep_prob:
                said.append(word)
            elif rng.random_sample() < 0.5:
                said.append(words[rng.randint(len(words))])
        if rng.random_sample() < 0.3:
            said.insert(rng.randint(len(said) + 1), words[rng.randint(len(words))])
        pieces.append(' '.join(said))
    return ' '.join(filter(None, pieces))


def resample_format(text: str, num_points: int, words: Sequence[str], rng: np.random.RandomState) -> str:
    """Asks for another number of points; where points have names, for as many other names.

    Args:
        text: an instruction of ours that asks for objects; one without a format is returned as it is.
        num_points: N.
        words: to draw names from.
        rng: source of randomness.
    """
    text = FORMAT.sub(write_format(point_format(num_points)), text)
    names = [words[rng.randint(len(words))] for _ in range(num_points)]
    return POINT_NAMES.sub(json.dumps(names), text)
