"""Wordings of the detection instruction."""

import re

import pytest

from visionllm_mm.instructions import DETECTION_TEMPLATES


def test_there_are_at_least_eight_that_differ_in_more_than_letters():
    words = {tuple(re.findall('[a-z]+', template.lower())) for template in DETECTION_TEMPLATES}
    assert len(words) == len(DETECTION_TEMPLATES) >= 8


@pytest.mark.parametrize('template', DETECTION_TEMPLATES)
def test_placeholders_stand_once_and_nothing_else_looks_like_one(template):
    assert sorted(re.findall('<[^>]*>', template)) == ['<class>', '<format>', '<image>', '<range>']
    assert not re.search(r'[{}\d]', template)
    assert template == template.strip() and '  ' not in template


@pytest.mark.parametrize('template', DETECTION_TEMPLATES)
def test_range_is_called_a_range(template):
    """The parser finds the number by that word."""
    assert re.search(r'\brange <range>', template)


def test_image_comes_last_where_evaluation_reads_it():
    assert DETECTION_TEMPLATES[0].endswith('<image>')


def test_image_stands_at_different_places():
    places = {template.index('<image>') * 3 // len(template) for template in DETECTION_TEMPLATES}
    assert places == {0, 1, 2}
