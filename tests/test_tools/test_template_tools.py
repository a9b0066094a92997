"""tools/evaluate_formats.py and tools/expand_templates.py."""

import json
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from tests.helpers.command_line import run_tool
from tests.helpers.tiny import ROOT, save_llama
from visionllm_mm.instructions import TASK_TEMPLATES, Vocabulary, parse_instruction

TOOLS = ROOT / 'tools'


@pytest.fixture
def formats(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    import evaluate_formats

    return evaluate_formats


@pytest.mark.parametrize('name', ['heldout_templates.txt', 'heldout_templates_2.txt'])
def test_held_out_templates_are_a_hundred_that_training_does_not_know(formats, name):
    templates = formats.read_templates(TOOLS / name)
    known = {template for templates in TASK_TEMPLATES.values() for template in templates}
    assert len(templates) == len(set(templates)) == 100 and not known & set(templates)
    rng = np.random.default_rng(0)
    for template in templates:
        text, count = formats.fill_template(template, ['a', 'b', 'c'], Vocabulary(), rng)
        assert text.count('<image>') == 1 and '<class>' not in text and '<question>' not in text
        if count:
            assert parse_instruction(text, Vocabulary()).num_points == count


def test_agreement_counts_what_is_read_otherwise(formats):
    by_rules = SimpleNamespace(
        vocabulary=Vocabulary(),
        generate=lambda texts: [parse_instruction(text, Vocabulary()).output_format for text in texts],
    )
    templates = [template for templates in TASK_TEMPLATES.values() for template in templates]
    right = formats.read(by_rules, templates, ['a', 'b'], repeats=2)
    assert not any(right.values())
    assert formats.summary('all', right, 2) == f'all: 100.0% of {len(templates)} templates x 2'
    words = SimpleNamespace(vocabulary=Vocabulary(), generate=lambda texts: [('<bos>',)] * len(texts))
    box, caption = TASK_TEMPLATES['detection'][0], TASK_TEMPLATES['caption'][0]
    wrong = formats.read(words, [box, caption], ['a'], 3)
    assert formats.summary('two', wrong, 3) == 'two: 50.0% of 2 templates x 3'
    assert len(wrong[box]) == 3 and wrong[box][0].startswith('0 points instead of ') and not wrong[caption]


_expand = partial(run_tool, 'expand_templates.py')


@pytest.mark.slow
def test_an_llm_that_writes_nonsense_is_told_so(tmp_path):
    save_llama(tmp_path / 'llm')
    out = tmp_path / 'templates.json'
    out.write_text(json.dumps(dict(caption=[])))
    result = _expand(tmp_path / 'llm', '--task', 'caption', '--max-rounds', 1, '--out', out)
    assert result.returncode == 1 and 'wrote no usable template' in result.stderr, result.stderr
    assert 'caption: 0 new templates' in result.stdout and json.loads(out.read_text()) == dict(caption=[])


def test_tool_and_package_know_the_same_tasks():
    assert all(task in _expand('--help').stdout for task in TASK_TEMPLATES)
