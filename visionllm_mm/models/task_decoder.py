"""LLM-based open-ended task decoder with output-format-as-query decoding (paper, section 3.4; design 3.1 to 3.3)."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from ..instructions import Instruction, Vocabulary
from .layers.added_tokens import AddedTokens
from .layers.asked_words import AskedWords
from .layers.block_attention import blocks_mask, points_mask, prefix_mask
from .layers.point_places import PointPlaces
from .llm import CausalLM, KeyValues
from .prefix import Prefix, PrefixBuilder
from .token_projector import TokenProjector


def asked_texts(instructions: Sequence[Instruction], turns: Sequence[Sequence[str]]) -> list[list[str]]:
    """What each answer of a conversation is about: the instruction's words, then the further questions."""
    return [[instruction.language, *said[1::2]] for instruction, said in zip(instructions, turns, strict=True)]


def spread_words(llm: CausalLM, count: int) -> list[int]:
    """Ids of ``count`` different words, spread over the 4000 most common of an LLM; fewer where it has fewer."""
    words = list(llm.plain_words().values())[:4000]
    return words[:: max(1, len(words) // count)][-count:]


@dataclass
class DecoderState:
    """A read prefix, ready to be asked.

    Attributes:
        prefix: the embedded instructions.
        token_inputs: (B, M, width), projected image tokens; part of every format query.
        key_values: of the prefix and, after pass 1, of the M ``<cls>`` queries.
        class_hidden: (B, M, width), what the LLM says at the ``<cls>`` queries.
        num_points: (B,) int64, points of the formats; 0: an answer in words.
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
        token_dims: D, width of the image tokens.
        place_dims: coordinates of a token's place: 2, its centre, or 4, with its size.
        block_chunk: the most blocks per image whose points are decoded at once while evaluating; bounds the memory.
        cache_size: tokens of instructions whose keys and values are kept while evaluating; 0.5 MB each for LLaMA-7B.
        start_with_question: whether the token that an answer in words begins with stands for what was asked, as a
            class token stands for its name; for small LLMs without pretrained weights, see :class:`AskedWords`.
        asked_phrases: how many further tokens an answer in words begins with then, each for a phrase of the question
            and the image tokens that it stands for; 0 or at least 2.
        place_points: whether point queries stand for their place along the outline; for such LLMs, too, see
            :class:`PointPlaces`.
        place_octaves: range of the waves that tell the LLM where a token is, see :class:`TokenProjector`: few make
            places easy to compare, many make them precise.
        tell_objectness: whether image tokens say how likely they are objects; for such LLMs, too, see
            :class:`TokenProjector`.
        class_words: whether class tokens start as words of the LLM (:func:`spread_words`), which a pretrained one has
            learnt to copy to where they fit.
    """

    def __init__(
        self,
        llm: CausalLM,
        vocabulary: Vocabulary,
        token_dims: int,
        place_dims: int = 2,
        block_chunk: int = 128,
        cache_size: int = 4096,
        start_with_question: bool = False,
        asked_phrases: int = 0,
        place_points: bool = False,
        place_octaves: int = 3,
        tell_objectness: bool = False,
        class_words: bool = False,
    ) -> None:
        super().__init__()
        self.llm = llm
        self.vocabulary = vocabulary
        words = llm.base.model.embed_tokens.weight.detach().float()
        chosen = spread_words(llm, vocabulary.num_classes + 1) if class_words else []
        first = words[torch.tensor(chosen, dtype=torch.long)]
        self.added_tokens = AddedTokens(vocabulary.size, llm.embed_dims, words.std().item(), llm.hidden_norm, first)
        # Part of every checkpoint: equal counts of added tokens may be other tokens.
        sizes = (vocabulary.num_classes, vocabulary.coord_range, vocabulary.max_points)
        self.register_buffer('vocabulary_sizes', torch.tensor(sizes))
        self.projector = TokenProjector(
            token_dims,
            llm.embed_dims,
            place_dims,
            word_norm=words.norm(dim=1).mean().item(),
            place_octaves=place_octaves,
            tell_objectness=tell_objectness,
        )
        if asked_phrases and not start_with_question:
            raise ValueError(f'asked_phrases={asked_phrases} needs start_with_question=True')
        if asked_phrases == 1:
            raise ValueError('asked_phrases must be 0 or at least 2: questions compare two objects, got 1')
        self.num_starts = 1 + asked_phrases
        self.prefix_builder = PrefixBuilder(llm, vocabulary, self.num_starts)
        self.asked_words = (
            AskedWords(llm.embed_dims, asked_phrases, words.std().item()) if start_with_question else None
        )
        self.point_places = PointPlaces(llm.embed_dims, vocabulary.max_points) if place_points else None
        self.block_chunk = block_chunk
        self.cache_size = cache_size
        self._text_cache: OrderedDict[str, KeyValues] = OrderedDict()

    def train(self, mode: bool = True) -> 'OpenEndedTaskDecoder':
        self._text_cache.clear()
        return super().train(mode)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        """Refuses weights of another vocabulary, which a non-strict load would take or pass over with a warning."""
        self._text_cache.clear()
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
        """Embeds instructions with the image tokens (B, M, width) in the place of ``<image>``, and what was said."""
        prefix = self.prefix_builder.build(instructions, token_inputs, self.added_tokens, answer_length, histories)
        if histories is not None:
            asked = asked_texts(instructions, histories)
            prefix.embeddings = self.add_asked(prefix.embeddings, prefix.answer_starts, asked, token_inputs)
        return prefix

    def add_asked(
        self, embeddings: Tensor, starts: Sequence[Sequence[int]], asked: Sequence[Sequence[str]], token_inputs: Tensor
    ) -> Tensor:
        """Adds to the tokens that answers begin with what was asked; as they are without ``start_with_question``.

        Args:
            embeddings: (B, S, width).
            starts: per sequence, where answers begin.
            asked: per sequence, what the first, second ... of them answers.
            token_inputs: (B, M, width), projected image tokens.
        """
        if self.asked_words is None:
            return embeddings
        at = [
            (row, start, self.llm.word_ids(text))
            for row, sequence in enumerate(starts)
            for start, text in zip(sequence, asked[row], strict=False)
        ]
        at = [entry for entry in at if entry[2]]  # a text may have no word that the tokenizer knows
        if not at:
            return embeddings
        rows, columns, ids = zip(*at, strict=True)
        asked_for = self.asked_words(*self.embed_questions(ids), token_inputs[list(rows)].float()).to(embeddings.dtype)
        columns = torch.tensor(columns)[:, None] + torch.arange(self.num_starts)
        rows = torch.tensor(rows)[:, None].expand_as(columns)
        return embeddings.index_put((rows, columns), asked_for, accumulate=True)

    def embed_questions(self, ids: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
        """Words (n, L, width) and which of them are valid (n, L), of n texts, each of at least one word id."""
        device = self.vocabulary_sizes.device
        ids = [torch.tensor(row) for row in ids]
        valid = pad_sequence([torch.ones(len(row), dtype=torch.bool) for row in ids], batch_first=True)
        return self.llm.embed_words(pad_sequence(ids, batch_first=True).to(device)).float(), valid.to(device)

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
        mask = torch.cat(
            [
                torch.nn.functional.pad(to_prefix, (0, count)),
                blocks_mask(prefix.valid, count // length, length),
            ],
            dim=1,
        )
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
        queries = self._class_queries(instructions, token_inputs)
        hidden, key_values = self.continue_prefix(
            prefix, num_tokens, queries, block_length=1, past=self._cached_text(instructions, prefix)
        )
        return DecoderState(prefix, token_inputs, key_values, hidden[:, -num_tokens:], self._num_points(instructions))

    def _num_points(self, instructions: list[Instruction]) -> Tensor:
        counts = [instruction.num_points for instruction in instructions]
        return torch.tensor(counts, device=self.vocabulary_sizes.device)

    def _cached_text(self, instructions: list[Instruction], prefix: Prefix) -> KeyValues | None:
        """Keys and values of the text before ``<image>``, computed once where all images share the instruction."""
        texts = {instruction.text for instruction in instructions}
        start = int(prefix.image_starts[0])
        if self.training or torch.is_grad_enabled() or len(texts) > 1 or start == 0:
            return None
        key, device = texts.pop(), prefix.embeddings.device
        kept = self._text_cache.get(key)
        if kept is None or kept[0][0].device != device:
            causal = torch.ones(1, start, start, dtype=torch.bool, device=device).tril()
            _, kept = self.llm(prefix.embeddings[:1, :start], causal, prefix.positions[:1, :start])
            self._text_cache[key] = kept
            while sum(layers[0][0].shape[2] for layers in self._text_cache.values()) > self.cache_size:
                self._text_cache.popitem(last=False)
        return [
            (keys.expand(len(instructions), -1, -1, -1), values.expand(len(instructions), -1, -1, -1))
            for keys, values in kept
        ]

    def class_logits(self, state: DecoderState) -> Tensor:
        """Answers to ``<cls>``: (B, M, K + 1), the classes in the instruction's order, then no-object.

        Where instructions list fewer than K classes, the missing ones have the lowest possible logit.
        """
        return self._class_logits(state.class_hidden, state.prefix)

    def _class_logits(self, hidden: Tensor, prefix: Prefix) -> Tensor:
        none = prefix.class_ids.new_full((len(hidden), 1), self.vocabulary.none_id)
        logits = self.added_tokens.logits(hidden, torch.cat([prefix.class_ids, none], dim=1))
        missing = torch.nn.functional.pad(~prefix.class_valid, (0, 1))
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
        inputs = state.token_inputs.gather(1, kept[..., None].expand(-1, -1, state.token_inputs.shape[2]))
        embeddings = self._point_queries(inputs, state.num_points, num_points)
        mask = points_mask(state.prefix.valid, kept, state.token_inputs.shape[1], 2 * num_points)
        steps = 1 + torch.arange(2 * num_points, device=kept.device).repeat(num_kept)
        hidden, _ = self.llm(embeddings, mask, state.prefix.lengths[:, None] + steps, state.key_values)
        return self._location_logits(hidden).view(batch, num_kept, num_points, 2, -1)

    def query_point_logits(self, inputs: Tensor, num_points: Tensor, length: int) -> Tensor:
        """What the point queries say by themselves, before the LLM reads them: its layers add to them.

        Args:
            inputs: (B, k, width), projected image tokens.
            num_points: (B,) int64, N of the formats.
            length: P, how many points; those behind a format's last one mean nothing.

        Returns:
            (B, k, P, 2, 2R + 1) logits over the location tokens, for x and y.
        """
        hidden = self.llm.normalize(self._point_queries(inputs, num_points, length))
        return self._location_logits(hidden).view(*inputs.shape[:2], length, 2, self.vocabulary.num_bins)

    def decode_one_pass(
        self, instructions: list[Instruction], token_inputs: Tensor, num_points: int
    ) -> tuple[Tensor, Tensor]:
        """The plain form of the decoding, M (1 + 2N) queries at once; what the two passes must equal.

        Returns:
            Class logits (B, M, K + 1) and point logits (B, M, N, 2, 2R + 1) of all tokens.
        """
        prefix = self.embed_prefix(instructions, token_inputs)
        batch, num_tokens = token_inputs.shape[:2]
        length = 1 + 2 * num_points
        queries = torch.cat(
            [
                self._class_queries(instructions, token_inputs)[:, :, None],
                self._point_queries(token_inputs, self._num_points(instructions), num_points).unflatten(
                    1, (num_tokens, -1)
                ),
            ],
            dim=2,
        ).flatten(1, 2)
        hidden, _ = self.continue_prefix(prefix, num_tokens, queries, block_length=length)
        hidden = hidden[:, -num_tokens * length :].view(batch, num_tokens, length, -1)
        points = self._location_logits(hidden[:, :, 1:].flatten(1, 2))
        return (self._class_logits(hidden[:, :, 0], prefix), points.view(batch, num_tokens, num_points, 2, -1))

    def _point_queries(self, inputs: Tensor, num_points: Tensor, length: int) -> Tensor:
        """Queries of the first points of formats with N points, (B,): (B, k, width) -> (B, k * 2 length, width)."""
        queries = self._query_embeddings([f'<{axis}{i}>' for i in range(1, length + 1) for axis in 'xy'], inputs)
        if self.point_places is None:
            return queries
        return queries + self.point_places(inputs, num_points.clamp(min=1), length).to(queries.dtype)

    def _class_queries(self, instructions: list[Instruction], inputs: Tensor) -> Tensor:
        """Queries for the class of each token, (B, M, width).

        Where the set is a single name, which may be an expression, they say how a token is related to what its second
        phrase stands for, see :meth:`AskedWords.relate`.
        """
        queries = self._query_embeddings(['<cls>'], inputs)
        rows = [i for i, instruction in enumerate(instructions) if len(instruction.class_names) == 1]
        if self.num_starts == 1 or not rows:
            return queries
        ids = [self.llm.word_ids(instructions[i].class_names[0]) for i in rows]
        related = self.asked_words.relate(*self.embed_questions(ids), inputs[rows].float())
        return queries.index_put(
            (torch.tensor(rows, device=queries.device),), related.to(queries.dtype), accumulate=True
        )

    def _query_embeddings(self, tokens: list[str], inputs: Tensor) -> Tensor:
        """Format-token embeddings plus projected tokens: (B, k, width) -> (B, k * len(tokens), width)."""
        ids = torch.tensor(self.vocabulary.format_ids(tuple(tokens)), device=inputs.device)
        return (self.added_tokens(ids) + inputs[:, :, None]).flatten(1, 2)

    def _location_logits(self, hidden: Tensor) -> Tensor:
        start = self.vocabulary.location_start
        ids = torch.arange(start, start + self.vocabulary.num_bins, device=hidden.device)
        return self.added_tokens.logits(hidden, ids)
