"""Exchanging words in texts about images."""

import re
from collections.abc import Mapping
from functools import lru_cache


def exchange_words(text: str, words: Mapping[str, str]) -> str:
    """Puts other words in the place of some, all at once, and mends the articles: "a red star" -> "an orange star".

    Args:
        text: in English; what is exchanged are whole words, at the beginning of a sentence, too.
        words: word -> what stands in its place, in lower case.
    """
    if not words:
        return text
    changed = _any_of(tuple(words)).sub(lambda found: _like(words[found[0].lower()], found[0]), text)
    if changed == text:
        return text
    return re.sub(
        r'\b([Aa])n? (?=([A-Za-z]))', lambda found: found[1] + ('n ' if found[2] in 'aeiouAEIOU' else ' '), changed
    )


def _like(word: str, model: str) -> str:
    """Begins with a capital where the model does."""
    return word.capitalize() if model[0].isupper() else word


@lru_cache
def _any_of(words: tuple[str, ...]) -> re.Pattern:
    return re.compile(r'\b(' + '|'.join(map(re.escape, words)) + r')\b', re.IGNORECASE)
