"""Exchanging words in texts."""

import pytest

from visionllm_mm.instructions import exchange_words

NAMES = dict(red='orange', orange='red', star='ring', stars='rings', ring='star', rings='stars')


@pytest.mark.parametrize(
    'text, expected',
    [
        ('a red star', 'an orange ring'),
        ('there is an orange ring and two red stars', 'there is a red star and two orange rings'),
        ('Is the red object left of a star?', 'Is the orange object left of a ring?'),
        ('Red stars, a Red star. A red star?', 'Orange rings, an Orange ring. An orange ring?'),
        ('an object and a starfish', 'an object and a starfish'),
        ('', ''),
    ],
)
def test_all_words_change_at_once_and_articles_fit(text, expected):
    assert exchange_words(text, NAMES) == expected


def test_no_words():
    assert exchange_words('an star', {}) == 'an star'


def test_twice_is_as_it_was():
    text = 'How many stars are left of the orange ring?'
    assert exchange_words(exchange_words(text, NAMES), NAMES) == text
