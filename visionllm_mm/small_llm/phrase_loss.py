"""A loss of what the phrases of questions stand for, and of where that is."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from torch import Tensor, nn
from torch.nn import functional as F

from ..instructions import parse_instruction
from ..models.task_decoder import OpenEndedTaskDecoder, asked_texts
from ..structures import SetTargets


class _Phrase(NamedTuple):
    """Words that stand for objects: question, number of the phrase in it, words, image, and rows of the objects."""

    question: int
    number: int
    words: str
    image: int
    objects: tuple[int, ...]


@MODELS.register_module()
class AskedObjectsLoss(nn.Module):
    """Which words are a phrase, which image tokens it stands for, and where those are.

    A yes or no says nothing about which object was not found. With the objects found, the LLM learns to compare and to
    count them within some hundred steps, which it does not in thousands otherwise (docs/design.md has the measurement).

    Args:
        loss_weight: its weight.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(
        self,
        decoder: OpenEndedTaskDecoder,
        samples: SampleList,
        tokens: Tensor,
        slots: Sequence[Tensor],
        objects: Sequence[SetTargets],
    ) -> Tensor:
        """Cosine distance of the words, plus cross-entropy of the tokens, plus L1 distance of the places, each a mean.

        Args:
            decoder: with ``asked_phrases``.
            samples: with ``asked_objects``, see :class:`DrawQuestions` and :class:`DrawRelation`, where phrases of
                questions or of names of the class set are known. 0 without any.
            tokens: (B, M, width), projected.
            slots: per image the tokens of its first objects, int64; -1: an object without one.
            objects: what the images show.

        Raises:
            ValueError: when answers of the decoder begin with no phrases.
        """
        if decoder.num_starts == 1:
            raise ValueError(
                'phrases of questions can be taught only where answers begin with them: set '
                'task_decoder.asked_phrases to 2 or more, or leave out loss_asked and asked_weight'
            )
        questions, phrases = _phrases(decoder, samples)
        if not phrases:
            return tokens.new_zeros(())
        return self.loss_weight * (
            self._phrase_loss(decoder, questions, phrases, tokens, slots)
            + self._place_loss(decoder, tokens, slots, objects)
        )

    @staticmethod
    def _place_loss(
        decoder: OpenEndedTaskDecoder, tokens: Tensor, slots: Sequence[Tensor], objects: Sequence[SetTargets]
    ) -> Tensor:
        """Mean L1 distance of centres and sizes, of all objects; 0 without any."""
        shown, boxes = [], []
        for row, slot, target in zip(tokens, slots, objects, strict=True):
            has_token = slot >= 0
            shown.append(row[slot[has_token]])
            boxes.append(target.places_norm[: len(slot)][has_token])
        found = decoder.asked_words.where(torch.cat(shown).float())
        return F.l1_loss(found, torch.cat(boxes).to(found.device), reduction='sum') / max(found.numel(), 1)

    @staticmethod
    def _phrase_loss(
        decoder: OpenEndedTaskDecoder,
        questions: list[str],
        phrases: list[_Phrase],
        tokens: Tensor,
        slots: Sequence[Tensor],
    ) -> Tensor:
        of_question, numbers, words, images, objects = (list(values) for values in zip(*phrases, strict=True))
        pooled = decoder.asked_words.pool(*decoder.embed_questions([decoder.llm.word_ids(text) for text in questions]))
        pooled = pooled[of_question, numbers][:, None]
        meant = decoder.prefix_builder.embed_names([[text] for text in words]).name_embeddings.detach().float()
        matched = decoder.asked_words.match(pooled, tokens[images].float())[:, 0]
        targets = torch.zeros_like(matched)
        of_objects = [slot.tolist() for slot in slots]
        for target, image, asked in zip(targets, images, objects, strict=True):
            slot = of_objects[image]
            target[[slot[k] for k in asked if k < len(slot) and slot[k] >= 0]] = 1
        distance = 1 - F.cosine_similarity(pooled, meant, dim=2).mean()
        return distance + F.binary_cross_entropy_with_logits(matched, targets)


def _phrases(decoder: OpenEndedTaskDecoder, samples: SampleList) -> tuple[list[str], list[_Phrase]]:
    """The questions and expressions whose phrases are known, and the phrases."""
    questions, found = [], []
    for image, sample in enumerate(samples):
        if 'asked_objects' in sample:
            instruction = parse_instruction(sample.instruction, decoder.vocabulary)
            texts = instruction.class_names
            if instruction.asks_for_words:
                (texts,) = asked_texts([instruction], [sample.answer])
            for text, phrases in zip(texts, sample.asked_objects, strict=True):
                for number, (words, objects) in enumerate(phrases[: decoder.num_starts - 1]):
                    found.append(_Phrase(len(questions), number, words, image, objects))
                questions.append(text)
    return questions, found
