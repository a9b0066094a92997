"""Turns of a conversation as tokens: answer, question, answer, ... behind the first question."""

from collections.abc import Sequence
from typing import NamedTuple

from ..instructions import Instruction
from .llm import CausalLM
from .query_hints import Question


class TurnIds(NamedTuple):
    """Turns of a conversation as S tokens.

    Attributes:
        ids: S word ids.
        generated: for each, whether the model is to generate it: an answer's words and its end.
        starts: where answers begin.
    """

    ids: list[int]
    generated: list[bool]
    starts: list[int]


def turn_ids(llm: CausalLM, turns: Sequence[str], num_answer_tokens: int = 1) -> TurnIds:
    """Ids of turns, the model's first: ``<bos> answer <end> next question <bos> answer <end> ...``.

    Args:
        llm: gives the tokenizer.
        turns: answer, question, answer, ...
        num_answer_tokens: how often ``<bos>`` stands before an answer.
    """
    ids, generated, starts = [], [], []
    for i, text in enumerate(turns):
        words = llm.word_ids(text)
        if i % 2:
            ids += words
            generated += [False] * len(words)
        else:
            starts.append(len(ids))
            ids += [*[llm.start_id] * num_answer_tokens, *words, llm.tokenizer.eos_token_id]
            generated += [*[False] * num_answer_tokens, *[True] * (len(words) + 1)]
    return TurnIds(ids, generated, starts)


def find_questions(
    instructions: Sequence[Instruction], turns: Sequence[Sequence[str]], answer_starts: Sequence[Sequence[int]]
) -> list[Question]:
    """The question behind each answer of B conversations: the instruction's words, then the further questions.

    Args:
        instructions: B instructions.
        turns: B times what follows the first question, (answer, question, answer, ...).
        answer_starts: B times the positions at which answers begin; a last question may have none.
    """
    return [
        Question(image, start, text)
        for image, (instruction, texts, starts) in enumerate(zip(instructions, turns, answer_starts, strict=True))
        for start, text in zip(starts, [instruction.language, *texts[1::2]], strict=False)
    ]
