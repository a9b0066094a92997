"""The LLM reads the output format off the instruction's text (paper, section 3.4; docs/decisions.md#format-reading)."""

import logging
from collections import OrderedDict
from dataclasses import replace

import torch
from mmengine.logging import print_log
from torch import Tensor
from torch.nn import functional as F

from ..instructions import (
    Instruction,
    Vocabulary,
    parse_instruction,
    point_format,
    separate_notation,
    shorten,
    states_format,
)
from ..instructions.builder import write_tokens
from ..instructions.vocabulary import CLASS_QUERY, TEXT_START
from .task_decoder import OpenEndedTaskDecoder


def format_logits(decoder: OpenEndedTaskDecoder, instructions: list[Instruction], num_points: int) -> Tensor:
    """Decisions of the LLM about the output format, which it generates behind the text, without the image.

    The grammar ``<bos>`` | ``<cls>`` (``<xk>`` ``<yk>``)+ leaves it a choice at the start and after every ``<yk>``
    alone; all other tokens are forced. So one pass over the longest format holds the answers that token-by-token
    generation would give, at any length.

    Args:
        decoder: the task decoder.
        instructions: B instructions; their own formats are not looked at.
        num_points: N, the longest format to decide about.

    Returns:
        (B, 1 + N, 2) logits: first ``<bos>`` against ``<cls>``, then, after point k, the end against ``<x(k+1)>``.
        Where the vocabulary has no further point, only the end is possible.
    """
    vocabulary, llm = decoder.vocabulary, decoder.llm
    device = next(decoder.parameters()).device
    tokens = point_format(num_points)
    ids = torch.tensor(vocabulary.format_ids(tokens), device=device)
    instructions = [replace(instruction, text=separate_notation(instruction.text)) for instruction in instructions]
    nothing = decoder.added_tokens.embedding.weight.new_zeros(len(instructions), 0, llm.embed_dims)
    prefix = decoder.embed_prefix(instructions, nothing, answer_length=len(tokens))
    # Format tokens are embedded with what instructions write for them, as class tokens are with their names.
    written = decoder.prefix_builder.embed_names([write_tokens(tokens)])
    answer = (decoder.added_tokens(ids) + written.name_embeddings).expand(len(instructions), -1, -1)
    hidden, _ = decoder.continue_prefix(prefix, 0, answer)
    # (B, T + S, width) -> (B, 1, width)
    last_word = hidden.gather(1, (prefix.lengths - 1)[:, None, None].expand(-1, 1, hidden.shape[2]))
    decisions = torch.cat([last_word, hidden[:, -len(tokens) :][:, 2::2]], dim=1)
    words = llm.word_logits(decisions)
    ends = torch.cat([words[:, :1, llm.start_id], words[:, 1:, llm.tokenizer.eos_token_id]], dim=1)
    further = [CLASS_QUERY, *(f'<x{k}>' for k in range(2, min(num_points + 1, vocabulary.max_points) + 1))]
    rows = decoder.added_tokens.output_rows[vocabulary.format_ids(tuple(further))].float()
    goes_on = (decisions[:, : len(further)].float() * rows).sum(dim=2)
    goes_on = F.pad(goes_on, (0, decisions.shape[1] - len(further)), value=torch.finfo(goes_on.dtype).min)
    return torch.stack([ends, goes_on], dim=2)


class FormatReader:
    """Reads instructions: their class set by rules, their output format by the LLM, once per text.

    The rule-based parser checks the LLM. Where they disagree, a warning says so, ``disagreements`` counts it, and the
    rules are followed: they don't err on formats in our notation, and a metric that expects masks gets masks. A
    template that states no format in our notation is left to the LLM; one that states a bad one is an error.

    Args:
        decoder: the task decoder.
        vocabulary: the added tokens.
        cache_size: how many instructions are remembered.
    """

    def __init__(self, decoder: OpenEndedTaskDecoder, vocabulary: Vocabulary, cache_size: int = 4096) -> None:
        self.decoder = decoder
        self.vocabulary = vocabulary
        self.cache_size = cache_size
        self.disagreements = 0
        self._cache: OrderedDict[str, Instruction] = OrderedDict()

    def clear(self) -> None:
        """Forgets all readings, as other weights may read otherwise."""
        self._cache.clear()
        self.disagreements = 0

    def __call__(self, texts: list[str]) -> list[Instruction]:
        """Instructions of B texts; a ValueError as by :func:`parse_instruction`, but for formats that it can't read."""
        new = [text for text in dict.fromkeys(texts) if text not in self._cache]
        for text, output_format in zip(new, self.generate(new) if new else (), strict=True):
            self._cache[text] = self._settle(text, output_format)
        found = [self._cache[text] for text in texts]
        while len(self._cache) > self.cache_size:
            self._cache.popitem(last=False)
        return found

    @torch.no_grad()
    def generate(self, texts: list[str]) -> list[tuple[str, ...]]:
        """The LLM's own readings of B texts: ``('<bos>',)`` or ``('<cls>', '<x1>', '<y1>', ...)`` each."""
        drafts = [parse_instruction(text, self.vocabulary, (TEXT_START,)) for text in texts]
        goes_on = format_logits(self.decoder, drafts, self.vocabulary.max_points).argmax(dim=2) == 1
        # Without a class set there is no class token to answer with.
        return [
            point_format(decisions.index(False, 1)) if decisions[0] and draft.class_names else (TEXT_START,)
            for draft, decisions in zip(drafts, goes_on.tolist(), strict=True)
        ]

    def _settle(self, text: str, output_format: tuple[str, ...]) -> Instruction:
        """The instruction with the LLM's format, unless the rules read another one."""
        try:
            by_rules = parse_instruction(text, self.vocabulary)
        except ValueError:
            if states_format(text):  # and a bad one
                raise
            print_log(
                f'the rules find no format in {shorten(text)}, the LLM reads {" ".join(output_format)}',
                logger='current',
            )
            return parse_instruction(text, self.vocabulary, output_format)
        if by_rules.output_format != output_format:
            self.disagreements += 1
            print_log(
                f'the LLM reads the format {" ".join(output_format)}, the rules {by_rules.format_text}, in '
                f'{shorten(text)}',
                logger='current',
                level=logging.WARNING,
            )
        return by_rules
