"""Answers in text, token by token from ``<bos>`` (paper, section 3.4): teacher forcing, greedy and beam search."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ..instructions import Instruction
from .conversation import TurnIds, find_questions, turn_ids
from .llm import KeyValues
from .query_hints import Question
from .task_decoder import OpenEndedTaskDecoder


def answer_logits(
    decoder: OpenEndedTaskDecoder, instructions: list[Instruction], token_inputs: Tensor, answers: list[Sequence[str]]
) -> tuple[Tensor, Tensor]:
    """Teacher forcing: logits of the words of known answers, those to all questions of a conversation at once.

    The last questions of a conversation that is too long for the LLM are left out.

    Args:
        decoder: the task decoder.
        instructions: B instructions that ask for text.
        token_inputs: (B, M, width), projected image tokens.
        answers: B times the turns behind the first question, (answer, question, answer, ...).

    Returns:
        Logits (B, S, words) and targets (B, S) int64: the answers' words and end tokens; -100 elsewhere.
    """
    llm = decoder.llm
    fitting = [
        _fitting(decoder, instruction, turns, token_inputs.shape[1])
        for instruction, turns in zip(instructions, answers, strict=True)
    ]
    answers, turns = zip(*fitting, strict=True)
    ids, generated, starts = zip(*turns, strict=True)
    prefix = decoder.embed_prefix(instructions, token_inputs, answer_length=[len(row) for row in ids])
    # Lists of B rows -> (B, S + 1)
    ids, generated = (
        pad_sequence([torch.tensor(row) for row in rows], batch_first=True).to(token_inputs.device)
        for rows in (ids, generated)
    )
    questions = find_questions(instructions, answers, starts)
    words = decoder.hints.answer_prefix(llm.embed_words(ids[:, :-1]), questions, token_inputs)
    hidden, _ = decoder.continue_prefix(prefix, token_inputs.shape[1], words)
    targets = ids[:, 1:].masked_fill(~generated[:, 1:], -100)
    return llm.word_logits(hidden[:, -words.shape[1] :]), targets


def _fitting(
    decoder: OpenEndedTaskDecoder, instruction: Instruction, turns: Sequence[str], num_tokens: int
) -> tuple[Sequence[str], TurnIds]:
    """A conversation without its last turns where the LLM has no room for them; the first answer always stays."""
    room = decoder.llm.max_length - decoder.prefix_builder.length(instruction, num_tokens)
    tokens = turn_ids(decoder.llm, turns, decoder.hints.num_answer_tokens)
    while len(turns) > 1 and len(tokens.ids) > room:
        turns = turns[:-2]
        tokens = turn_ids(decoder.llm, turns, decoder.hints.num_answer_tokens)
    return turns, tokens


@dataclass
class _Beams:
    """``width`` unfinished answers per image, flattened to B * width rows.

    Attributes:
        words: (B * width, S) int64, without ``<bos>``.
        scores: (B, width) log-probabilities.
        finished: per image (score, words) of complete answers.
    """

    words: Tensor
    scores: Tensor
    finished: list[list[tuple[float, list[int]]]]


@torch.no_grad()
def generate(
    decoder: OpenEndedTaskDecoder,
    instructions: list[Instruction],
    token_inputs: Tensor,
    *,
    histories: list[Sequence[str]] | None = None,
    max_length: int = 50,
    num_beams: int = 1,
    length_penalty: float = 1.0,
) -> list[str]:
    """Answers in text; keys and values of what was read are kept, so each step reads one word.

    Args:
        decoder: the task decoder.
        instructions: B instructions that ask for text.
        token_inputs: (B, M, width), projected image tokens.
        histories: B times what followed the first question, (answer, question, ...); None: nothing yet.
        max_length: the most tokens of an answer; a longer one is cut, and so is one with more words than its
            instruction allows.
        num_beams: width of the beam search; 1: greedy.
        length_penalty: answers are ranked by log-probability / length ** ``length_penalty``.
    """
    llm, (batch, num_tokens) = decoder.llm, token_inputs.shape[:2]
    num_answer_tokens, histories = decoder.hints.num_answer_tokens, histories or [()] * batch
    prefix = decoder.embed_prefix(instructions, token_inputs, max_length + num_answer_tokens - 1, histories)
    start = torch.full((batch, num_answer_tokens), llm.start_id, device=token_inputs.device)
    texts = (
        [instruction.language, *turns[1::2]][-1] for instruction, turns in zip(instructions, histories, strict=True)
    )
    questions = [Question(image, 0, text) for image, text in enumerate(texts)]
    begin = decoder.hints.answer_prefix(llm.embed_words(start), questions, token_inputs)
    hidden, past = decoder.continue_prefix(prefix, num_tokens, begin)
    # (B * beams,), the image of each beam
    rows = torch.arange(batch, device=start.device).repeat_interleave(num_beams)
    past = _select(past, rows)
    readable = torch.cat([prefix.valid, torch.ones_like(start, dtype=torch.bool)], dim=1)[rows]
    # All beams of an image are equal at first: only one of them may go on.
    scores = torch.full((batch, num_beams), -torch.inf, device=start.device)
    scores[:, 0] = 0
    beams = _Beams(start.new_zeros(batch * num_beams, 0), scores, [[] for _ in instructions])
    log_probs = llm.word_logits(hidden[:, -1]).log_softmax(dim=-1)[rows]
    for step in range(max_length):
        origin, words = _advance(beams, log_probs, llm.tokenizer.eos_token_id, length_penalty)
        if _settled(beams, num_beams, length_penalty) or step + 1 == max_length:
            break
        readable = torch.cat([readable, readable.new_ones(len(rows), 1)], dim=1)
        positions = (prefix.lengths[rows] + num_answer_tokens + step)[:, None]
        hidden, past = llm(llm.embed_words(words[:, None]), readable[:, None], positions, _select(past, origin))
        log_probs = llm.word_logits(hidden[:, -1]).log_softmax(dim=-1)
    texts = [llm.tokenizer.decode(best, skip_special_tokens=True) for best in _best(beams, length_penalty)]
    # A model that was not trained to keep to a stated length is cut there.
    return [
        ' '.join(text.split()[: instruction.max_words]) for text, instruction in zip(texts, instructions, strict=True)
    ]


def _select(key_values: KeyValues, rows: Tensor) -> KeyValues:
    return [(keys[rows], values[rows]) for keys, values in key_values]


def _advance(beams: _Beams, log_probs: Tensor, end: int, length_penalty: float) -> tuple[Tensor, Tensor]:
    """Appends one word to every beam; answers that end are put aside.

    Returns:
        Row that each new beam goes on from, and its new word, both (B * width,).
    """
    batch, width = beams.scores.shape
    # (B * beams, words) -> (B, beams, words)
    total = beams.scores[..., None] + log_probs.view(batch, width, -1)
    num_words = total.shape[2]
    # At most `width` of the best 2 x width candidates end, so enough are left to go on with.
    best, index = total.flatten(1).topk(min(2 * width, total[0].numel()), dim=1)
    origin, word = index // num_words, index % num_words
    rows, words, scores = [], [], []
    for i in range(batch):
        going_on = []
        for score, beam, token in zip(best[i].tolist(), origin[i].tolist(), word[i].tolist(), strict=True):
            row = i * width + beam
            if token != end:
                going_on.append((score, row, token))
            elif len(going_on) < width and score > -torch.inf:
                text = beams.words[row].tolist()
                beams.finished[i].append((score / (len(text) + 1) ** length_penalty, text))
        going_on = going_on[:width]
        scores.append([score for score, _, _ in going_on])
        rows += [row for _, row, _ in going_on]
        words += [token for _, _, token in going_on]
    rows, words = (torch.tensor(values, device=log_probs.device) for values in (rows, words))
    beams.words = torch.cat([beams.words[rows], words[:, None]], dim=1)
    beams.scores = torch.tensor(scores, device=log_probs.device)
    return rows, words


def _settled(beams: _Beams, width: int, length_penalty: float) -> bool:
    """Whether the search ends: enough answers are finished, and none that goes on scores higher at its length.

    A longer answer could still win by its length where ``length_penalty`` is positive; as in transformers'
    ``early_stopping=False`` that is not waited for. A greedy search ends with the first end token.
    """
    if width == 1:
        return all(beams.finished)
    length = (beams.words.shape[1] + 1) ** length_penalty
    return all(
        len(done) >= width and max(score for score, _ in done) >= going_on / length
        for done, going_on in zip(beams.finished, beams.scores.amax(dim=1).tolist(), strict=True)
    )


def _best(beams: _Beams, length_penalty: float) -> list[list[int]]:
    """The best answer of each image, those that were cut included."""
    batch, width = beams.scores.shape
    # (B * beams, S) -> (B, beams, S)
    words = beams.words.view(batch, width, -1).tolist()
    if width == 1:
        return [done[0][1] if done else cut[0] for done, cut in zip(beams.finished, words, strict=True)]
    cut = (beams.scores / max(beams.words.shape[1], 1) ** length_penalty).tolist()
    return [max([*done, *zip(cut[i], words[i], strict=True)])[1] for i, done in enumerate(beams.finished)]
