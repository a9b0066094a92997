"""The LLM's prefix: instruction words, named class tokens and image tokens as one sequence."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from ..instructions import IMAGE_PLACEHOLDER, Instruction, Vocabulary, shorten
from ..structures import NameSets
from .conversation import turn_ids
from .layers.added_tokens import AddedTokens
from .llm import CausalLM


@dataclass
class Prefix:
    """Embedded instructions of a batch, padded on the right to T.

    Attributes:
        embeddings: (B, T, width).
        lengths: (B,) int64.
        image_starts: (B,) int64, position of the first image token.
        class_ids: (B, K) int64, added-token ids of the classes in the set's order, padded with 0.
        names: their names, in the same order.
        answer_starts: per image, positions of the tokens that answers in its history begin with.
    """

    embeddings: Tensor
    lengths: Tensor
    image_starts: Tensor
    class_ids: Tensor
    names: NameSets
    answer_starts: Sequence[Sequence[int]] = ()

    @property
    def positions(self) -> Tensor:
        """(B, T) int64."""
        return torch.arange(self.embeddings.shape[1], device=self.lengths.device).expand(len(self.lengths), -1)

    @property
    def valid(self) -> Tensor:
        """(B, T) bool, False = padding."""
        return self.positions < self.lengths[:, None]


@dataclass(frozen=True)
class _Sequence:
    """Token ids of an instruction, without its image tokens; added tokens count from the number of words up.

    ``class_positions`` are where class tokens stand, ``class_rows`` which class of the set each of them is,
    ``answer_starts`` where answers begin that were given before.
    """

    ids: tuple[int, ...]
    image_start: int
    class_positions: tuple[int, ...]
    class_rows: tuple[int, ...]
    answer_starts: tuple[int, ...]


class PrefixBuilder:
    """Turns instructions and image tokens into a :class:`Prefix`. Has no weights of its own.

    Args:
        llm: gives tokenizer and word embeddings.
        vocabulary: the added tokens.
        num_answer_tokens: tokens that an answer in text begins with.
    """

    def __init__(self, llm: CausalLM, vocabulary: Vocabulary, num_answer_tokens: int = 1) -> None:
        self.llm = llm
        self.num_answer_tokens = num_answer_tokens
        self.vocabulary = vocabulary
        self._sequence = lru_cache(maxsize=8192)(self._tokenize)
        self._name_ids = lru_cache(maxsize=8192)(self._tokenize_name)

    def build(
        self,
        instructions: list[Instruction],
        token_inputs: Tensor,
        added_tokens: AddedTokens,
        answer_length: int | list[int] | None = None,
        histories: list[Sequence[str]] | None = None,
    ) -> Prefix:
        """Embeds a batch; ``<ck>`` is embedded as E[ck] + mean word embedding of its name ("named class tokens").

        Args:
            instructions: B instructions.
            token_inputs: (B, M, width), what stands at ``<image>``.
            added_tokens: embeddings of the added vocabulary.
            answer_length: positions to keep free for the answer, of all or of each image; None: as many as the output
                format has tokens.
            histories: B times what followed the instruction, (answer, question, ...); None: nothing.

        Raises:
            ValueError: when prefix and answer would not fit into the LLM's context.
        """
        device, num_tokens = token_inputs.device, token_inputs.shape[1]
        histories = [()] * len(instructions) if histories is None else [tuple(turns) for turns in histories]
        sequences = [self._sequence(*pair) for pair in zip(instructions, histories, strict=True)]
        lengths = [len(sequence.ids) + num_tokens for sequence in sequences]
        self.check_lengths(instructions, num_tokens, answer_length, histories)
        starts = torch.tensor([sequence.image_start for sequence in sequences], device=device)
        class_ids = self._pad([self._long(instruction.class_indices) for instruction in instructions]).to(device)
        names = self.embed_names([instruction.class_names for instruction in instructions])

        embeddings = self._embed_tokens(sequences, num_tokens, added_tokens, device)
        image_positions = starts[:, None] + torch.arange(num_tokens, device=device)
        embeddings = embeddings.scatter(
            1, image_positions[..., None].expand(-1, -1, embeddings.shape[2]), token_inputs.to(embeddings.dtype)
        )
        embeddings = self._name_class_tokens(embeddings, names.name_embeddings, sequences, num_tokens)
        # Histories stand behind the image tokens.
        answer_starts = [[num_tokens + start for start in sequence.answer_starts] for sequence in sequences]
        return Prefix(
            embeddings=embeddings,
            lengths=torch.tensor(lengths, device=device),
            image_starts=starts,
            class_ids=class_ids,
            names=names,
            answer_starts=answer_starts,
        )

    def _tokenize(self, instruction: Instruction, history: tuple[str, ...] = ()) -> _Sequence:
        """Ids of all pieces; the words between added tokens are tokenized on their own."""
        num_words = self.llm.base.config.vocab_size
        begin = self.llm.tokenizer.bos_token_id
        ids = [] if begin is None else [begin]
        class_positions, class_rows, image_start = [], [], 0
        row_of = {f'<c{k}>': row for row, k in enumerate(instruction.class_indices)}
        for piece in filter(None, re.split(r'(<image>|<c\d+>)', instruction.text)):
            if piece == IMAGE_PLACEHOLDER:
                image_start = len(ids)
            elif piece in row_of:
                class_positions.append(len(ids))
                class_rows.append(row_of[piece])
                ids.append(num_words + self.vocabulary.token_id(piece))
            else:
                ids.extend(self.llm.word_ids(piece))
        turns = turn_ids(self.llm, history, self.num_answer_tokens)
        starts = tuple(len(ids) + start for start in turns.starts)
        return _Sequence((*ids, *turns.ids), image_start, tuple(class_positions), tuple(class_rows), starts)

    def _tokenize_name(self, name: str) -> tuple[int, ...]:
        ids = tuple(self.llm.word_ids(name))
        if not ids:
            raise ValueError(f'the tokenizer has no token for the class name {name!r}: rename the class')
        return ids

    def _embed_tokens(
        self, sequences: list[_Sequence], num_tokens: int, added_tokens: AddedTokens, device: torch.device
    ) -> Tensor:
        """(B, T, width), zero words where the image tokens will stand."""
        num_words = self.llm.base.config.vocab_size
        ids = self._pad(
            [torch.tensor((*s.ids[: s.image_start], *([0] * num_tokens), *s.ids[s.image_start :])) for s in sequences]
        ).to(device)
        words = self.llm.embed_words(ids.clamp(max=num_words - 1))
        is_added = ids >= num_words
        added = added_tokens(ids[is_added] - num_words)
        return words.masked_scatter(is_added[..., None], added.to(words.dtype))

    def embed_names(self, names: list[Sequence[str]]) -> NameSets:
        """Mean word embeddings of the names of B sets; zero where padded."""
        table = self.llm.base.model.embed_tokens.weight
        counts = torch.tensor([len(of_image) for of_image in names], device=table.device)
        valid = torch.arange(int(counts.max()), device=table.device) < counts[:, None]
        unique = sorted({name for of_image in names for name in of_image})
        if not unique:  # text is asked for
            return NameSets(self.llm.embed_words(valid.long()), valid)
        ids = [torch.tensor(self._name_ids(name)) for name in unique]
        offsets = torch.tensor([0, *map(len, ids)]).cumsum(0)[:-1]
        means = F.embedding_bag(torch.cat(ids).to(table.device), table, offsets.to(table.device), mode='mean')
        row = {name: i for i, name in enumerate(unique)}
        index = self._pad([self._long([row[name] for name in of_image]) for of_image in names])
        return NameSets(means[index.to(table.device)] * valid[..., None], valid)

    def _name_class_tokens(
        self, embeddings: Tensor, names: Tensor, sequences: list[_Sequence], num_tokens: int
    ) -> Tensor:
        """Adds to every class token the embedding of its name."""
        device = embeddings.device
        positions = self._pad(
            [self._long([p + num_tokens * (p >= s.image_start) for p in s.class_positions]) for s in sequences]
        ).to(device)
        # Padded mentions take the zero row behind the names, so that they add nothing to position 0.
        rows = self._pad([self._long(s.class_rows) for s in sequences], value=names.shape[1]).to(device)
        width = embeddings.shape[2]
        # (B, K + 1, width), (B, mentions) -> (B, mentions, width)
        mentioned = F.pad(names, (0, 0, 0, 1)).gather(1, rows[..., None].expand(-1, -1, width))
        return embeddings.scatter_add(1, positions[..., None].expand(-1, -1, width), mentioned.to(embeddings.dtype))

    def length(self, instruction: Instruction, num_tokens: int, history: tuple[str, ...] = ()) -> int:
        """Positions of an instruction with M image tokens, without an answer."""
        return len(self._sequence(instruction, history).ids) + num_tokens

    def check_lengths(
        self,
        instructions: list[Instruction],
        num_tokens: int,
        answer_length: int | list[int] | None = None,
        histories: list[tuple[str, ...]] | None = None,
    ) -> None:
        """Raises a ValueError where an instruction with M image tokens and its answer is too long for the LLM."""
        answers = answer_length if isinstance(answer_length, list) else [answer_length] * len(instructions)
        histories = histories or [()] * len(instructions)
        for instruction, answer, history in zip(instructions, answers, histories, strict=True):
            needed = self.length(instruction, num_tokens, history) + (answer or len(instruction.output_format))
            if needed > self.llm.max_length:
                raise ValueError(
                    f'the instruction needs {needed} positions with its image tokens and its answer, but the LLM has '
                    f'{self.llm.max_length}: shorten it or list fewer classes. It begins: {shorten(instruction.text)}'
                )

    @staticmethod
    def _long(values: Sequence[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.int64)

    @staticmethod
    def _pad(rows: list[Tensor], value: int = 0) -> Tensor:
        return pad_sequence(rows, batch_first=True, padding_value=value)
