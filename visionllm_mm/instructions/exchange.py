"""Exchanging words in texts about images."""

import re
from collections.abc import Mapping
from functools import lru_cache


def exchange_words(text: str, words: Mapping[str, str]) -> str:
    """Puts other words in the place of some, all at once, and mends the articles: "a red star" -> "an orange star".

    Args:
        text: in English; what is exchanged are whole words in lower case.
        words: word -> what stands in its place.
    """
    if not words:
        return text
    changed = _any_of(tuple(words)).sub(lambda found: words[found[0]], text)
    if changed == text:
        return text
    return re.sub(r'\ban? (?=([a-z]))', lambda found: 'an ' if found[1] in 'aeiou' else 'a ', changed)


@lru_cache
def _any_of(words: tuple[str, ...]) -> re.Pattern:
    return re.compile(r'\b(' + '|'.join(map(re.escape, words)) + r')\b')
