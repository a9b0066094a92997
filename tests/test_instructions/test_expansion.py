"""Templates written by an LLM: what is refused, what is kept, and the file."""

import json

import numpy as np
import pytest

from visionllm_mm.instructions import CAPTION_TEMPLATES, TASK_TEMPLATES, choose_templates, expand_templates
from visionllm_mm.instructions.expansion import PLACEHOLDERS, check_template, write_prompt


@pytest.mark.parametrize('task', TASK_TEMPLATES)
def test_our_own_templates_pass(task):
    for template in TASK_TEMPLATES[task]:
        check_template(template, task)


@pytest.mark.parametrize(
    'task, template, problem',
    [
        ('detection', 'Find <class> in <image> as <format>.', 'needs <image> <class> <format> <range> once each'),
        ('detection', 'Find <class> in <image> and <image> as <format>, range <range>.', 'once each'),
        ('caption', 'Describe <image> and <this>.', 'once each'),
        ('detection', 'Find <class> in <image> as <format> or (c, x1, y1), range <range>.', 'one output format'),
        ('detection', 'Find <class> in <image> as <format>, range <range>, no, range 3.', 'more than one range'),
        ('caption', 'The image <image>.', 'category set'),
        (
            'detection',
            'Find <class> in <image> as <format>, so (c, x1, y1, x2, y2), range <range>.',
            'one output format',
        ),
        ('detection', 'Find <class> in <image> as <format>, range <range>, that is range 512.', 'more than one range'),
        ('question', '<image> <question>', 'category set'),
    ],
)
def test_bad_templates_are_refused(task, template, problem):
    with pytest.raises(ValueError, match=problem):
        check_template(template, task)


def test_new_templates_are_kept_once_and_become_examples():
    prompts = []

    def generate(prompt):
        prompts.append(prompt)
        return (
            f'1. {CAPTION_TEMPLATES[1].upper().replace("<IMAGE>", "<image>")}\nnonsense\n'
            f'2) "Write caption number {len(prompts)} for <image>."\n'
        )

    new, refused = expand_templates('caption', 3, generate, np.random.default_rng(0))
    assert new == [f'Write caption number {i} for <image>.' for i in (1, 2, 3)] and refused == 6
    assert all(sum(line[:2] in ('1.', '2.', '3.', '4.') for line in prompt.splitlines()) == 4 for prompt in prompts)
    many, _ = expand_templates('caption', 40, generate, np.random.default_rng(0), max_rounds=30)
    others, refused = expand_templates('caption', 3, generate, np.random.default_rng(0), known=many, max_rounds=30)
    assert not set(many) & set(others) and refused > 3
    assert len(many) == 30 and any('caption number' in prompt for prompt in prompts[4:])


def test_prompt_names_the_placeholders():
    prompt = write_prompt('keypoints', ['a', 'b'])
    assert all(name in prompt for name in PLACEHOLDERS['keypoints']) and prompt.endswith('2. b\n3.')


def test_configs_can_use_the_file(tmp_path):
    path = tmp_path / 'templates.json'
    path.write_text(json.dumps(dict(caption=['Write about <image>.'], question=['<image> and then?'])))
    assert choose_templates('caption', str(path)) == ('Write about <image>.',)
    assert choose_templates('caption', None) is CAPTION_TEMPLATES
    with pytest.raises(ValueError, match='no templates for detection.*--task detection'):
        choose_templates('detection', path)
    with pytest.raises(ValueError, match='<question> once each'):
        choose_templates('question', path)
    with pytest.raises(FileNotFoundError, match='tools/expand_templates.py'):
        choose_templates('caption', str(tmp_path / 'no.json'))
