"""LLM-based open-ended task decoder with output-format-as-query decoding (paper, section 3.4).

The sequence of one image, N = 2, where ``w`` is a word and ``c`` a class token; only kept tokens have points::

    pass 1   <bos> w w c0 w [ image x M ] w w | <cls>_1 | <cls>_2 | ... | <cls>_M
    pass 2                                              | x1 y1 x2 y2 of kept token j | ...

Who attends to whom (rows to columns):

===============  ===================  =============  ==========  ==========
                 text before          image tokens   text after  own block
===============  ===================  =============  ==========  ==========
text before      causal               -              -           -
image tokens     all                  all            -           -
text after       all                  all            causal      -
a block          all                  all            all         causal
===============  ===================  =============  ==========  ==========

A block, ``<cls>_j x1 y1 ...``, never sees another block, and all blocks have the same positions. So a token's answer
does not depend on how many others are decoded, and as ``<cls>`` does not see the points behind it, the two passes equal
one pass over all M (1 + 2N) queries.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from ..instructions import Instruction, Vocabulary
from .conversation import find_questions
from .layers.added_tokens import AddedTokens
from .layers.block_attention import blocks_mask, points_mask, prefix_mask
from .llm import CausalLM, KeyValues
from .prefix import Prefix, PrefixBuilder
from .query_hints import NoHints
from .text_cache import TextCache
from .token_projector import TokenProjector


@dataclass
class DecoderState:
    """A prefix that the LLM has read, and its answers to ``<cls>``.

    Attributes:
        prefix: the embedded instructions.
        token_inputs: (B, M, width), projected image tokens; part of every format query.
        key_values: of the prefix and, after pass 1, of the M ``<cls>`` queries.
        class_hidden: (B, M, width), hidden states at the ``<cls>`` queries.
        num_points: (B,) int64, points of the formats; 0: an answer in text.
    """

    prefix: Prefix
    token_inputs: Tensor
    key_values: KeyValues
    class_hidden: Tensor
    num_points: Tensor


@MODELS.register_module()
class OpenEndedTaskDecoder(nn.Module):
    """Reads instructions with image tokens and answers format queries in parallel, in two exact passes.

    Args:
        llm: the language model.
        vocabulary: the added tokens.
        added_tokens: their embeddings and output rows.
        projector: image tokens to the LLM's width.
        hints: what is added to the inputs; the paper's :class:`NoHints` adds nothing.

    Attributes:
        block_chunk: the most blocks per image whose points are decoded at once while evaluating; bounds the memory.
        text_cache: keys and values of instructions, kept while evaluating.
    """

    block_chunk = 128

    def __init__(
        self,
        llm: CausalLM,
        vocabulary: Vocabulary,
        added_tokens: AddedTokens,
        projector: TokenProjector,
        hints: NoHints,
    ) -> None:
        super().__init__()
        self.llm = llm
        self.vocabulary = vocabulary
        self.added_tokens = added_tokens
        # Part of every checkpoint: equal counts of added tokens may be other tokens.
        sizes = (vocabulary.num_classes, vocabulary.coord_range, vocabulary.max_points)
        self.register_buffer('vocabulary_sizes', torch.tensor(sizes))
        self.projector = projector
        self.hints = hints
        self.prefix_builder = PrefixBuilder(llm, vocabulary, hints.num_answer_tokens)
        self.text_cache = TextCache()

    def train(self, mode: bool = True) -> 'OpenEndedTaskDecoder':
        self.text_cache.clear()
        return super().train(mode)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        """Refuses weights of another vocabulary, which a non-strict load would take or pass over with a warning."""
        self.text_cache.clear()
        saved = state_dict.get(f'{prefix}vocabulary_sizes')
        if saved is not None and not torch.equal(saved.cpu(), self.vocabulary_sizes.cpu()):
            raise ValueError(
                'the checkpoint was made with another vocabulary: num_classes, coord_range, max_points = '
                f"{saved.tolist()} there and {self.vocabulary_sizes.tolist()} in this model. Set the config's "
                'vocabulary as it was when it was trained'
            )
        super()._load_from_state_dict(state_dict, prefix, *args)

    def embed_prefix(
        self,
        instructions: list[Instruction],
        token_inputs: Tensor,
        answer_length: int | list[int] | None = None,
        histories: list[Sequence[str]] | None = None,
    ) -> Prefix:
        """Embeds instructions with the image tokens (B, M, width) in the place of ``<image>``, and their histories."""
        prefix = self.prefix_builder.build(instructions, token_inputs, self.added_tokens, answer_length, histories)
        if histories is not None:
            questions = find_questions(instructions, histories, prefix.answer_starts)
            prefix.embeddings = self.hints.answer_prefix(prefix.embeddings, questions, token_inputs)
        return prefix

    def continue_prefix(
        self,
        prefix: Prefix,
        num_tokens: int,
        queries: Tensor,
        block_length: int | None = None,
        past: KeyValues | None = None,
    ) -> tuple[Tensor, KeyValues]:
        """Reads a prefix and blocks of queries behind it, which do not see each other.

        Args:
            prefix: the embedded instructions, padded to T.
            num_tokens: M, image tokens in it; may be 0.
            queries: (B, blocks * S, width), embeddings.
            block_length: S; None: all queries are one block, read token by token.
            past: keys and values of the first words, where they are known.

        Returns:
            Hidden states (B, T + blocks * S, width) but for what is known, and all keys and values.
        """
        count = queries.shape[1]
        length = block_length or count
        to_prefix = prefix_mask(prefix.lengths, prefix.image_starts, num_tokens, prefix.embeddings.shape[1])
        blocks = blocks_mask(prefix.valid, count // length, length)
        # (B, T, T + count) above (B, count, T + count)
        mask = torch.cat([F.pad(to_prefix, (0, count)), blocks], dim=1)
        steps = torch.arange(length, device=mask.device).repeat(count // length)
        positions = torch.cat([prefix.positions, prefix.lengths[:, None] + steps], dim=1)
        embeddings = torch.cat([prefix.embeddings, queries.to(prefix.embeddings.dtype)], dim=1)
        skip = past[0][0].shape[2] if past else 0
        return self.llm(embeddings[:, skip:], mask[:, skip:], positions[:, skip:], past)

    def read(self, instructions: list[Instruction], token_inputs: Tensor) -> DecoderState:
        """Reads the instructions and decodes ``<cls>`` for all tokens (pass 1).

        Args:
            instructions: B instructions.
            token_inputs: (B, M, width), projected image tokens.

        Raises:
            ValueError: when a sequence would be longer than the LLM's context.
        """
        prefix = self.embed_prefix(instructions, token_inputs)
        num_tokens = token_inputs.shape[1]
        queries = self.class_queries(instructions, token_inputs)
        past = None
        if not self.training:
            past = self.text_cache.read(self.llm, prefix, [instruction.text for instruction in instructions])
        hidden, key_values = self.continue_prefix(prefix, num_tokens, queries, block_length=1, past=past)
        return DecoderState(
            prefix, token_inputs, key_values, hidden[:, -num_tokens:], count_points(instructions, token_inputs.device)
        )

    def class_logits(self, state: DecoderState) -> Tensor:
        """Answers to ``<cls>``: (B, M, K + 1), the classes in the instruction's order, then no-object.

        Where instructions list fewer than K classes, the missing ones have the lowest possible logit.
        """
        prefix = state.prefix
        no_object = prefix.class_ids.new_full((len(prefix.class_ids), 1), self.vocabulary.none_id)
        logits = self.added_tokens.logits(state.class_hidden, torch.cat([prefix.class_ids, no_object], dim=1))
        missing = F.pad(~prefix.names.class_valid, (0, 1))
        return logits.masked_fill(missing[:, None], torch.finfo(logits.dtype).min)

    def point_logits(self, state: DecoderState, kept: Tensor, num_points: int) -> Tensor:
        """Decodes the points of some tokens (pass 2).

        Args:
            state: from :meth:`read`.
            kept: (B, k) int64, image tokens to decode.
            num_points: N; the format ``<cls> <x1> <y1> .. <xN> <yN>`` begins with every shorter one, so images of a
                batch may ask for fewer points and use the first.

        Returns:
            (B, k, N, 2, 2R + 1) logits over the location tokens, for x and y.
        """
        chunk = kept.shape[1] if self.training else self.block_chunk
        parts = [self._decode_points(state, part, num_points) for part in kept.split(max(chunk, 1), dim=1)]
        return torch.cat(parts, dim=1)

    def _decode_points(self, state: DecoderState, kept: Tensor, num_points: int) -> Tensor:
        batch, num_kept = kept.shape
        # (B, M, width), (B, k) -> (B, k, width)
        inputs = state.token_inputs.gather(1, kept[..., None].expand(-1, -1, state.token_inputs.shape[2]))
        queries = self.point_queries(inputs, state.num_points, num_points)  # (B, k * 2N, width)
        mask = points_mask(state.prefix.valid, kept, state.token_inputs.shape[1], 2 * num_points)
        steps = 1 + torch.arange(2 * num_points, device=kept.device).repeat(num_kept)
        hidden, _ = self.llm(queries, mask, state.prefix.lengths[:, None] + steps, state.key_values)
        # (B, k * 2N, 2R + 1) -> (B, k, N, 2, 2R + 1)
        return self.location_logits(hidden).view(batch, num_kept, num_points, 2, -1)

    def class_queries(self, instructions: list[Instruction], inputs: Tensor) -> Tensor:
        """``<cls>`` queries (B, M, width) of tokens that the LLM reads as ``inputs`` (B, M, width)."""
        return self.hints.class_queries(self._format_queries(['<cls>'], inputs), instructions, inputs)

    def point_queries(self, inputs: Tensor, num_points: Tensor, length: int) -> Tensor:
        """Queries (B, k * 2 length, width) of a format's first points, for inputs (B, k, width) and N (B,)."""
        queries = self._format_queries([f'<{axis}{i}>' for i in range(1, length + 1) for axis in 'xy'], inputs)
        return self.hints.point_queries(queries, inputs, num_points, length)

    def _format_queries(self, tokens: list[str], inputs: Tensor) -> Tensor:
        """Format-token embeddings plus projected tokens: (B, k, width) -> (B, k * len(tokens), width)."""
        ids = torch.tensor(self.vocabulary.format_ids(tuple(tokens)), device=inputs.device)
        # (B, k, tokens, width) -> (B, k * tokens, width)
        return (self.added_tokens(ids) + inputs[:, :, None]).flatten(1, 2)

    def location_logits(self, hidden: Tensor) -> Tensor:
        """Logits over the location tokens: (B, Q, width) -> (B, Q, 2R + 1)."""
        start = self.vocabulary.location_start
        ids = torch.arange(start, start + self.vocabulary.num_bins, device=hidden.device)
        return self.added_tokens.logits(hidden, ids)


def count_points(instructions: list[Instruction], device: torch.device) -> Tensor:
    """(B,) int64, N of each output format; 0: an answer in text."""
    return torch.tensor([instruction.num_points for instruction in instructions], device=device)
