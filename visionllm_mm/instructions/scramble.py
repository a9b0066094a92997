"""Scrambled instructions: the LLM learns to read formats in any text (docs/decisions.md#format-reading)."""

import json
import re
from collections.abc import Sequence

import numpy as np

from .builder import write_format
from .parser import FORMAT, POINT_NAMES
from .vocabulary import point_format

# The parts that determine the format: sets and lists, formats, the image, the range's number, question marks.
_KEPT = re.compile(r'(\{.*\}|\[.*\]|\([^()]*\)|<image>|\brange\s+\d+|\?)', re.DOTALL)


def separate_notation(text: str) -> str:
    """The text with spaces around its class set, format, image and range, as in scrambled texts.

    A tokenizer may encode "}," as one token, which scrambled texts don't contain: the LLM would read tokens that it was
    not trained on.
    """
    return ' '.join(piece.strip() for piece in _KEPT.split(text) if piece.strip())


def scramble_instruction(text: str, words: Sequence[str], rng: np.random.RandomState, keep_prob: float = 0.7) -> str:
    """Removes words at random, replaces some by distractor words and inserts others.

    Args:
        text: an instruction.
        words: distractor words to sample from.
        rng: source of randomness.
        keep_prob: probability that a word stays, in [0, 1].

    Returns:
        The instruction with the same class set, formats, range and image, in the same order.
    """
    pieces = []
    for i, piece in enumerate(_KEPT.split(text)):
        if i % 2:
            pieces.append(piece)
            continue
        kept = []
        for word in piece.split():
            if rng.random_sample() < keep_prob:
                kept.append(word)
            elif rng.random_sample() < 0.5:
                kept.append(words[rng.randint(len(words))])
        if rng.random_sample() < 0.3:
            kept.insert(rng.randint(len(kept) + 1), words[rng.randint(len(words))])
        pieces.append(' '.join(kept))
    return ' '.join(filter(None, pieces))


def resample_format(text: str, num_points: int, words: Sequence[str], rng: np.random.RandomState) -> str:
    """Changes the number of points; where points have names, they get as many other names.

    Args:
        text: an instruction that states a format in the notation of this package; others are returned unchanged.
        num_points: N.
        words: words to sample names from.
        rng: source of randomness.
    """
    text = FORMAT.sub(write_format(point_format(num_points)), text)
    names = [words[rng.randint(len(words))] for _ in range(num_points)]
    return POINT_NAMES.sub(json.dumps(names), text)
