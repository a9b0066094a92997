"""Expands templates with an instruction-tuned LLM, as self-instruct does (paper, section 3.2); loads template files."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from .builder import build_instruction, build_text_instruction
from .parser import parse_instruction
from .templates import TASK_TEMPLATES
from .vocabulary import Vocabulary, point_format

PLACEHOLDERS = dict(
    detection=('<image>', '<class>', '<format>', '<range>'),
    segmentation=('<image>', '<class>', '<format>', '<range>'),
    grounding=('<image>', '<class>', '<format>', '<range>'),
    keypoints=('<image>', '<class>', '<points>', '<format>', '<range>'),
    caption=('<image>',),
    question=('<image>', '<question>'),
)
_VOCABULARY = Vocabulary()


def check_template(template: str, task: str) -> None:
    """Checks that a template can be filled in and that the parser reads it as its task.

    Args:
        template: the template.
        task: its task, a key of ``PLACEHOLDERS``.

    Raises:
        ValueError: when placeholders are missing, repeated or unknown, or the parser reads another output.
    """
    found = sorted(re.findall(r'<[^<>\s]*>', template))
    if found != sorted(PLACEHOLDERS[task]):
        raise ValueError(
            f'a template for {task} needs {" ".join(PLACEHOLDERS[task])} once each, got {" ".join(found)}: {template!r}'
        )
    # The template is filled in twice: it may itself contain a format or a range that agrees with one of the two.
    for number, vocabulary in ((2, _VOCABULARY), (3, replace(_VOCABULARY, coord_range=37))):
        if '<class>' in found:
            points = ('top', 'left', 'right')[:number] if '<points>' in found else None
            text = build_instruction(template, ['a', 'b'], point_format(number), vocabulary, points)
            expected = (number, ('a', 'b'), points or (), vocabulary.coord_range)
        else:
            # Not every question ends with a question mark.
            question = {2: 'Is it red?', 3: 'The colors of all stars.'}[number] if '<question>' in found else None
            text = build_text_instruction(template, question)
            expected = (0, (), (), vocabulary.coord_range)
        read = parse_instruction(text, vocabulary)
        if (read.num_points, read.class_names, read.point_names, read.coord_range) != expected:
            raise ValueError(f'the rules read {template!r} as {read.format_text} with range {read.coord_range}')


def load_templates(path: str | Path, task: str) -> tuple[str, ...]:
    """Templates of a task from a JSON file ``{task: [template, ...]}``, as ``tools/expand_templates.py`` writes it.

    Args:
        path: path of the JSON file.
        task: task of the templates, a key of the file.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it has no template for the task, or a bad one.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'there is no file of templates {path}: write one with tools/expand_templates.py')
    templates = json.loads(Path(path).read_text(encoding='utf-8')).get(task)
    if not templates:
        raise ValueError(f'{path} has no templates for {task}: write some with tools/expand_templates.py --task {task}')
    for template in templates:
        check_template(template, task)
    return tuple(templates)


def choose_templates(task: str, templates: Sequence[str] | str | Path | None) -> tuple[str, ...]:
    """The templates as given, those of a file, or by default the task's own."""
    if templates is None:
        return TASK_TEMPLATES[task]
    return load_templates(templates, task) if isinstance(templates, str | Path) else tuple(templates)


def write_prompt(task: str, examples: Sequence[str]) -> str:
    """The prompt that asks an LLM for templates, with some templates as examples."""
    listed = '\n'.join(f'{i}. {example}' for i, example in enumerate(examples, 1))
    return (
        f'Below are instructions for a vision model; the task is {task}. Write five more that mean the same in '
        f'other words. Each must hold the placeholders {" ".join(PLACEHOLDERS[task])} exactly once each, and stand '
        f'on a line of its own.\n\n{listed}\n{len(examples) + 1}.'
    )


def expand_templates(
    task: str,
    count: int,
    generate: Callable[[str], str],
    rng: np.random.Generator,
    *,
    known: Sequence[str] = (),
    max_rounds: int = 200,
) -> tuple[list[str], int]:
    """Lets an LLM write templates until there are enough; good ones become examples for the next.

    Args:
        task: a key of ``TASK_TEMPLATES``.
        count: number of new templates.
        generate: prompt -> text of the LLM, one template per line.
        rng: samples the examples of each prompt.
        known: existing templates besides ``TASK_TEMPLATES``.
        max_rounds: the largest number of prompts.

    Returns:
        New templates, at most ``count``, and the number of lines that were refused or known.
    """
    pool = [*TASK_TEMPLATES[task], *known]
    taken, refused, num_known = {_normalize(template) for template in pool}, 0, len(pool)
    for _ in range(max_rounds):
        if len(pool) - num_known >= count:
            break
        examples = [pool[i] for i in rng.permutation(len(pool))[:4]]
        for line in filter(str.strip, generate(write_prompt(task, examples)).splitlines()):
            template = re.sub(r'^\s*(\d+[.)]|[-*])?\s*', '', line).strip().strip('"')
            try:
                check_template(template, task)
            except ValueError:
                refused += 1
                continue
            if _normalize(template) in taken:
                refused += 1
                continue
            taken.add(_normalize(template))
            pool.append(template)
    return pool[num_known : num_known + count], refused


def _normalize(template: str) -> tuple[str, ...]:
    """Words and placeholders in lower case; two templates must differ in them."""
    return tuple(re.findall(r'<\w+>|\w+', template.lower()))
