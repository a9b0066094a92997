"""A loss of what the phrases of questions mean, for warm-ups on described images."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from mmdet.structures import SampleList
from torch import Tensor, nn
from torch.nn import functional as F

from ..instructions import parse_instruction
from ..structures import SetTargets
from .task_decoder import OpenEndedTaskDecoder, asked_texts


class _Phrase(NamedTuple):
    """Words of a question that stand for objects.

    Attributes:
        question: the whole text.
        number: which of the question's phrases it is.
        words: of the phrase.
        row, column: where in the batch the token of the phrase stands.
        found: (5,), mean centre and size of its objects, and n / (n + 1) of their number n, which attention to one more
            token than the n gives.
        known: (5,), 1.0 where there is something to find, else 0.0: no objects have no place.
    """
    question: str
    number: int
    words: str
    row: int
    column: int
    found: Tensor
    known: Tensor


class AskedObjects(nn.Module):
    """What a question's phrases mean: their words, and behind the LLM's first layer, where and how many objects.

    A yes or no says nothing about which object was not found. With the objects found, later layers learn to compare
    and to count them within some hundred steps, which they do not in thousands otherwise (docs/design.md has the
    measurement).

    Args:
        decoder: with ``asked_phrases``.
    """

    def __init__(self, decoder: OpenEndedTaskDecoder) -> None:
        super().__init__()
        self._decoder = [decoder]  # in a list, it is no part of this module
        self.head = nn.Sequential(nn.LayerNorm(decoder.llm.embed_dims), nn.Linear(decoder.llm.embed_dims, 5))
        self.head.to(next(decoder.parameters()).device)
        self.hidden: Tensor | None = None
        self._hook = decoder.llm.base.model.layers[0].register_forward_hook(self._keep)

    def _keep(self, layer: nn.Module, inputs: tuple, outputs: Tensor | tuple) -> None:
        self.hidden = outputs if isinstance(outputs, Tensor) else outputs[0]

    def close(self) -> None:
        """Lets go of the decoder."""
        self._hook.remove()

    def loss(self, samples: SampleList, objects: Sequence[SetTargets]) -> Tensor:
        """Of the batch that the decoder has just read; 0 where it compares and counts nothing.

        Args:
            samples: with ``asked_objects``, see :class:`DrawQuestions`, where objects are asked for.
            objects: what their images show.

        Returns:
            Cosine distance of the words, plus the mean distance of places and numbers, each in [0, 1].
        """
        phrases = list(self._phrases(samples, objects))
        if not phrases:
            return self.hidden.new_zeros(())
        questions, numbers, words, rows, columns, found, known = zip(*phrases, strict=True)
        decoder, found, known = self._decoder[0], torch.stack(found), torch.stack(known)
        pooled = decoder.asked_words.pool(*decoder.embed_questions([decoder.llm.word_ids(text) for text in questions]))
        pooled = pooled[torch.arange(len(phrases)), list(numbers)]
        meant = decoder.prefix_builder.embed_names([[text] for text in words]).name_embeddings[:, 0].detach().float()
        distance = (self.head(self.hidden[list(rows), list(columns)].float()) - found).abs() * known
        return 1 - F.cosine_similarity(pooled, meant, dim=1).mean() + distance.sum() / known.sum()

    def _phrases(self, samples: SampleList, objects: Sequence[SetTargets]) -> Iterator[_Phrase]:
        decoder = self._decoder[0]
        turns = [decoder.llm.turn_ids(sample.get('answer', ()), decoder.num_starts) for sample in samples]
        first = self.hidden.shape[1] - max(len(of_sample.ids) for of_sample in turns) + 1  # the last word is not read
        for row, (sample, shown, of_sample) in enumerate(zip(samples, objects, turns, strict=True)):
            if 'asked_objects' not in sample:
                continue
            boxes = torch.cat([shown.centers_norm, shown.sizes_norm], dim=1)
            texts, = asked_texts([parse_instruction(sample.instruction, decoder.vocabulary)], [sample.answer])
            for start, text, phrases in zip(of_sample.starts, texts, sample.asked_objects, strict=True):
                for number, (words, asked) in enumerate(phrases[:decoder.num_starts - 1]):
                    count = len(asked)
                    mean = boxes[list(asked)].sum(dim=0) / max(count, 1)
                    yield _Phrase(text, number, words, row, first + start + number,
                                  torch.cat([mean, mean.new_tensor([count / (count + 1)])]),
                                  mean.new_tensor([float(count > 0)] * 4 + [1.0]))
