"""Exchange of words in texts about images."""

import re
from collections.abc import Mapping
from functools import lru_cache


def exchange_words(text: str, words: Mapping[str, str]) -> str:
    """Replaces words, all at once, and corrects the articles: "a red star" -> "an orange star".

    Args:
        text: English text; only whole words are replaced, capitalized ones included.
        words: word -> its replacement, both in lower case.
    """
    if not words:
        return text
    changed = _pattern_of(tuple(words)).sub(lambda match: _capitalize_like(words[match[0].lower()], match[0]), text)
    if changed == text:
        return text
    return re.sub(
        r'\b([Aa])n? (?=([A-Za-z]))', lambda match: match[1] + ('n ' if match[2] in 'aeiouAEIOU' else ' '), changed
    )


def _capitalize_like(word: str, original: str) -> str:
    """The word, with a capital letter first where the original has one."""
    return word.capitalize() if original[0].isupper() else word


@lru_cache
def _pattern_of(words: tuple[str, ...]) -> re.Pattern:
    """A pattern that matches any of the words."""
    return re.compile(r'\b(' + '|'.join(map(re.escape, words)) + r')\b', re.IGNORECASE)
