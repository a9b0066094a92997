"""The page of tools/demo.py: per task the answers about all pictures, beside the truth."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from _grading import OVERLAP, Grade

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>VisionLLM: every task</title>
<style>
body {{ font: 16px/1.4 sans-serif; max-width: 72em; margin: 2em auto; padding: 0 1em; color: #222 }}
section {{ border-top: 1px solid #ccc; padding: 0.5em 0 1em }}
.known {{ background: #fff4d6; border-left: 4px solid #b26a00; padding: 0.6em 1em }}
.answers {{ display: grid; grid-template-columns: repeat(3, 1fr); gap: 1.5em }}
.answers img {{ width: 100%; display: block }}
.right {{ color: #14691e; font-weight: bold }} .wrong {{ color: #a3140f; font-weight: bold }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere }} summary {{ cursor: pointer }}
@media (max-width: 40em) {{ .answers {{ grid-template-columns: 1fr }} }}
</style>
<h1>Every task, by instruction</h1>
{known}
<p>{total}</p>
{sections}
</html>
"""
_RULE = """<b>{total}.</b> The generator of the scenes knows the truth, and the photograph is annotated. A true object
is found when one of its class, with a score of at least {score_thr:g}, overlaps it (IoU, for keypoints OKS, of at least
{overlap:g}). An answer is right when it has every object once and no other."""
_SECTION = """<section><h2>{title}</h2>
{instructions}<p>Read as <code>{output_format}</code></p>
<div class="answers">
{answers}
</div></section>"""
_ANSWER = """<div><img src="{picture}" alt="{title}">
{verdict}
<details{unfolded}><summary>Answer, as the model generates it</summary><pre>{answer}</pre></details></div>"""


class Answer(NamedTuple):
    """An answer as the page shows it; ``picture`` is a file beside the page, ``grade`` None where no truth is known."""

    title: str
    instruction: str
    output_format: str
    text: str
    picture: str
    grade: Grade | None


def write_page(path: Path, known: Sequence[str], total: str, score_thr: float, answers: Sequence[Answer]) -> None:
    """Writes the page.

    Args:
        path: the HTML file.
        known: what users must know of each model.
        total: how many answers are right; empty where no truth is known.
        score_thr: lowest score of the objects that count.
        answers: those of one task stand side by side.
    """
    by_title: dict[str, list[Answer]] = {}
    for answer in answers:
        by_title.setdefault(answer.title, []).append(answer)
    page = _PAGE.format(
        known='\n'.join(f'<p class="known">{html.escape(text)}</p>' for text in known),
        total=total and _RULE.format(total=html.escape(total), score_thr=score_thr, overlap=OVERLAP),
        sections='\n'.join(_section(title, group) for title, group in by_title.items()),
    )
    path.write_text(page, encoding='utf-8')


def _section(title: str, answers: Sequence[Answer]) -> str:
    instructions = dict.fromkeys(answer.instruction for answer in answers)
    return _SECTION.format(
        title=html.escape(title),
        instructions=''.join(f'<p>{html.escape(text)}</p>\n' for text in instructions),
        output_format=html.escape(answers[0].output_format),
        answers='\n'.join(map(_answer, answers)),
    )


def _answer(answer: Answer) -> str:
    verdict = ''
    if answer.grade:
        word = 'right' if answer.grade.is_right else 'wrong'
        verdict = f'<p><span class="{word}">{word}</span><br>{html.escape(answer.grade.text)}</p>'
    return _ANSWER.format(
        picture=html.escape(answer.picture),
        title=html.escape(answer.title),
        verdict=verdict,
        unfolded='' if answer.grade and answer.output_format != '<bos>' else ' open',
        answer=html.escape(answer.text),
    )
