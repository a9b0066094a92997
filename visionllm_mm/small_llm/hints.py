"""Hints for LLMs that are small or start from random weights; a pretrained LLM finds all of this by itself."""

from collections.abc import Sequence

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn

from ..instructions import Instruction, Vocabulary
from ..models.llm import CausalLM
from ..models.query_hints import NoHints, Question
from .point_places import PointPlaces
from .question_phrases import QuestionPhrases


@MODELS.register_module()
class SmallLLMHints(NoHints):
    """Adds to the LLM's inputs what small LLMs are slow to work out.

    Args:
        llm: the language model.
        vocabulary: the added tokens.
        num_phrases: phrases of a question that its answer begins with, see :class:`QuestionPhrases`, and that the
            ``<cls>`` queries of an expression are related to; at least 2, or 0: none.
        point_places: whether point queries state their place along the polygon, see :class:`PointPlaces`.
        objectness: whether image tokens state how likely they are objects, so that several tokens on one object can be
            told from several objects. Starts as zero, so that weights which were trained without it fit.
    """

    def __init__(
        self,
        llm: CausalLM,
        vocabulary: Vocabulary,
        num_phrases: int = 0,
        point_places: bool = False,
        objectness: bool = False,
    ) -> None:
        super().__init__()
        dims = llm.embed_dims
        self.embed_texts = llm.embed_texts  # a method: the LLM is no part of the hints
        self.num_answer_tokens = 1 + num_phrases
        self.phrases = QuestionPhrases(dims, num_phrases, llm.word_std) if num_phrases else None
        self.point_places = PointPlaces(dims, vocabulary.max_points) if point_places else None
        self.objectness = nn.Parameter(torch.zeros(dims)) if objectness else None

    def image_tokens(self, inputs: Tensor, objectness: Tensor) -> Tensor:
        return inputs if self.objectness is None else inputs + objectness[..., None] * self.objectness

    def class_queries(self, queries: Tensor, instructions: Sequence[Instruction], inputs: Tensor) -> Tensor:
        """Where the class set is a single name, which may be an expression, adds how each token is related to it."""
        rows = [i for i, instruction in enumerate(instructions) if len(instruction.class_names) == 1]
        if self.phrases is None or not rows:
            return queries
        words, valid = self.embed_texts([instructions[i].class_names[0] for i in rows])
        related = self.phrases.relate(words, valid, inputs[rows].float()).to(queries.dtype)  # (n, M, width)
        return queries.index_put((torch.tensor(rows, device=queries.device),), related, accumulate=True)

    def point_queries(self, queries: Tensor, inputs: Tensor, num_points: Tensor, length: int) -> Tensor:
        if self.point_places is None:
            return queries
        return queries + self.point_places(inputs, num_points.clamp(min=1), length).to(queries.dtype)

    def answer_prefix(self, embeddings: Tensor, questions: Sequence[Question], inputs: Tensor) -> Tensor:
        """Adds the phrases of a question, and then all of its words, to the tokens that its answer begins with."""
        if self.phrases is None or not questions:
            return embeddings
        words, valid = self.embed_texts([question.text for question in questions])
        # A text may have no word that the tokenizer knows.
        known = valid.any(dim=1)
        questions = [question for question, has_words in zip(questions, known.tolist(), strict=True) if has_words]
        if not questions:
            return embeddings
        images = torch.tensor([question.image for question in questions])
        starts = torch.tensor([question.answer_start for question in questions])
        added = self.phrases(words[known], valid[known], inputs[images].float()).to(embeddings.dtype)
        columns = starts[:, None] + torch.arange(self.num_answer_tokens)  # (n, num_phrases + 1)
        return embeddings.index_put((images[:, None].expand_as(columns), columns), added, accumulate=True)
