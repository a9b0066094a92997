"""The seam for what is added to the decoder's inputs; the paper adds nothing."""

from collections.abc import Sequence
from typing import NamedTuple

from mmdet.registry import MODELS
from torch import Tensor, nn

from ..instructions import Instruction


class Question(NamedTuple):
    """A question whose answer is generated.

    Attributes:
        image: row of its image in the batch.
        answer_start: position of the first token of its answer.
        text: its words.
    """

    image: int
    answer_start: int
    text: str


@MODELS.register_module()
class NoHints(nn.Module):
    """Adds nothing: the model of the paper. Base of all hints, each of which changes some of these inputs.

    Hints see embeddings alone; none of them runs the LLM.

    Args:
        llm: the language model, :class:`CausalLM`; gives word embeddings and their sizes.
        vocabulary: the added tokens.
    """

    num_answer_tokens = 1
    """How many ``<bos>`` tokens an answer in text begins with."""

    def __init__(self, llm: nn.Module | None = None, vocabulary: object = None) -> None:
        super().__init__()

    def image_tokens(self, inputs: Tensor, objectness: Tensor) -> Tensor:
        """What the LLM reads of image tokens: (B, M, width), and their objectness (B, M) in [0, 1]."""
        return inputs

    def class_queries(self, queries: Tensor, instructions: Sequence[Instruction], inputs: Tensor) -> Tensor:
        """The ``<cls>`` queries (B, M, width) of image tokens that the LLM reads as ``inputs`` (B, M, width)."""
        return queries

    def point_queries(self, queries: Tensor, inputs: Tensor, num_points: Tensor, length: int) -> Tensor:
        """The point queries of k tokens per image.

        Args:
            queries: (B, k * 2 length, width): x and y of the first point, of the second, ...
            inputs: (B, k, width), what the LLM reads of the tokens.
            num_points: (B,) int64, N of each format.
            length: how many points; those behind a format's last one mean nothing.
        """
        return queries

    def answer_prefix(self, embeddings: Tensor, questions: Sequence[Question], inputs: Tensor) -> Tensor:
        """The embeddings (B, S, width) of sequences in which answers begin with ``num_answer_tokens`` tokens.

        Args:
            embeddings: (B, S, width).
            questions: what each answer is about, and where it begins.
            inputs: (B, M, width), what the LLM reads of the image tokens.
        """
        return embeddings
