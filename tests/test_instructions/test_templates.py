"""Templates of the instructions."""

import re

import pytest

from visionllm_mm.instructions import (
    CAPTION_TEMPLATES,
    DETECTION_TEMPLATES,
    GROUNDING_TEMPLATES,
    KEYPOINT_TEMPLATES,
    QUESTION_TEMPLATES,
    SEGMENTATION_TEMPLATES,
    Vocabulary,
    parse_instruction,
)

SETS = [DETECTION_TEMPLATES, GROUNDING_TEMPLATES, KEYPOINT_TEMPLATES, SEGMENTATION_TEMPLATES]
WORDS = [CAPTION_TEMPLATES, QUESTION_TEMPLATES]
TEMPLATES = [template for task in SETS for template in task]


@pytest.mark.parametrize('templates', SETS + WORDS)
def test_there_are_at_least_twelve_that_differ_in_more_than_letters(templates):
    words = {tuple(re.findall('[a-z]+', template.lower())) for template in templates}
    assert len(words) == len(templates) >= 12


@pytest.mark.parametrize('template', TEMPLATES)
def test_placeholders_stand_once_and_nothing_else_looks_like_one(template):
    points = ['<points>'] if template in KEYPOINT_TEMPLATES else []
    assert sorted(re.findall('<[^>]*>', template)) == ['<class>', '<format>', '<image>', *points, '<range>']
    assert not re.search(r'[{}\d]', template)
    assert template == template.strip() and '  ' not in template


@pytest.mark.parametrize('template', TEMPLATES)
def test_range_is_called_a_range(template):
    """The parser finds the number by that word."""
    assert re.search(r'\brange <range>', template)


@pytest.mark.parametrize('templates', SETS + WORDS)
def test_image_comes_last_where_evaluation_reads_it(templates):
    assert templates[0].endswith('<image>')


@pytest.mark.parametrize('templates', SETS + WORDS)
def test_image_stands_at_different_places(templates):
    places = {template.index('<image>') * 3 // len(template) for template in templates}
    assert places == {0, 1, 2}


@pytest.mark.parametrize('template', [template for task in WORDS for template in task])
def test_templates_that_ask_for_text_are_read_so(template):
    marks = ['<image>', '<question>'] if template in QUESTION_TEMPLATES else ['<image>']
    assert sorted(re.findall('<[^>]*>', template)) == marks
    instruction = parse_instruction(template.replace('<question>', 'Is there a star?'), Vocabulary())
    assert instruction.asks_for_text and instruction.class_names == ()
