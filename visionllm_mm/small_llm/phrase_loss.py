"""A loss of what the phrases of questions stand for, and of where that is."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from torch import Tensor
from torch.nn import functional as F

from ..instructions import Instruction
from ..models.auxiliary import AuxiliaryLoss
from ..models.task_decoder import OpenEndedTaskDecoder
from ..models.visionllm import VisionLLM
from ..structures import SetTargets, TrainStep


class _Phrase(NamedTuple):
    """Words that stand for objects: question, number of the phrase in it, words, image, and rows of the objects."""

    question: int
    number: int
    words: str
    image: int
    objects: tuple[int, ...]


@MODELS.register_module()
class PhraseLoss(AuxiliaryLoss):
    """Which words are a phrase, which image tokens it stands for, and where those are: ``loss_asked``.

    A yes or no does not tell which object was not found. With the objects found, the LLM learns to compare and to
    count them within some hundred steps, which it does not in thousands otherwise (docs/decisions.md#phrases).

    Args:
        loss_weight: weight of the loss.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def check(self, model: VisionLLM) -> None:
        self._phrases_of(model.task_decoder)

    def forward(self, model: VisionLLM, step: TrainStep) -> dict[str, Tensor]:
        if step.matches is None:
            return {}
        slots = step.matches.slots(step.targets)
        loss = self.loss(model.task_decoder, step.instructions, step.samples, step.inputs, slots, step.targets)
        return dict(loss_asked=loss)

    def loss(
        self,
        decoder: OpenEndedTaskDecoder,
        instructions: Sequence[Instruction],
        samples: SampleList,
        inputs: Tensor,
        slots: Sequence[Tensor],
        targets: Sequence[SetTargets],
    ) -> Tensor:
        """Cosine distance of the words, plus cross-entropy of the tokens, plus L1 distance of the boxes, each a mean.

        Args:
            decoder: with hints that have phrases.
            instructions: B instructions.
            samples: with ``question_phrases``, see :class:`RandomQuestions` and :class:`RandomRelation`, where phrases
                of questions or of names of the class set are known. 0 without any.
            inputs: (B, M, width), what the LLM reads of the image tokens.
            slots: per image the tokens of its first objects, int64; -1: an object without one.
            targets: what the images show.

        Raises:
            ValueError: when the decoder's hints have no phrases.
        """
        self._phrases_of(decoder)
        questions, phrases = _find_phrases(decoder, instructions, samples)
        if not phrases:
            return inputs.new_zeros(())
        word_loss = _word_loss(decoder, questions, phrases, inputs, slots)
        return self.loss_weight * (word_loss + _box_loss(decoder, inputs, slots, targets))

    @staticmethod
    def _phrases_of(decoder: OpenEndedTaskDecoder) -> None:
        if getattr(decoder.hints, 'phrases', None) is None:
            raise ValueError(
                'phrases of questions can be learned only where answers begin with them: set hints=dict(type='
                "'SmallLLMHints', num_phrases=2) or more, or leave out auxiliary.phrases and phrase_weight"
            )


def _box_loss(
    decoder: OpenEndedTaskDecoder, inputs: Tensor, slots: Sequence[Tensor], targets: Sequence[SetTargets]
) -> Tensor:
    """Mean L1 distance of centers and sizes, of all objects; 0 without any."""
    shown, boxes = [], []
    for row, slot, target in zip(inputs, slots, targets, strict=True):
        has_token = slot >= 0
        shown.append(row[slot[has_token]])
        boxes.append(target.boxes_cxcywh[: len(slot)][has_token])
    found = decoder.hints.phrases.where(torch.cat(shown).float())  # (n, 4)
    return F.l1_loss(found, torch.cat(boxes).to(found.device), reduction='sum') / max(found.numel(), 1)


def _word_loss(
    decoder: OpenEndedTaskDecoder,
    questions: list[str],
    phrases: list[_Phrase],
    inputs: Tensor,
    slots: Sequence[Tensor],
) -> Tensor:
    """Cosine distance of pooled phrases to their words, and cross-entropy of the tokens that they match."""
    of_question, numbers, words, images, objects = (list(values) for values in zip(*phrases, strict=True))
    pooled = decoder.hints.phrases.pool(*decoder.llm.embed_texts(questions))
    pooled = pooled[of_question, numbers][:, None]  # (n, 1, width)
    names = decoder.prefix_builder.embed_names([[text] for text in words]).name_embeddings.detach().float()
    matched = decoder.hints.phrases.match(pooled, inputs[images].float())[:, 0]  # (n, M)
    labels = torch.zeros_like(matched)
    of_objects = [slot.tolist() for slot in slots]
    for row, image, rows in zip(labels, images, objects, strict=True):
        slot = of_objects[image]
        row[[slot[k] for k in rows if k < len(slot) and slot[k] >= 0]] = 1
    distance = 1 - F.cosine_similarity(pooled, names, dim=2).mean()
    return distance + F.binary_cross_entropy_with_logits(matched, labels)


def _find_phrases(
    decoder: OpenEndedTaskDecoder, instructions: Sequence[Instruction], samples: SampleList
) -> tuple[list[str], list[_Phrase]]:
    """The questions and expressions whose phrases are known, and the phrases."""
    questions, found = [], []
    for image, (instruction, sample) in enumerate(zip(instructions, samples, strict=True)):
        if 'question_phrases' not in sample:
            continue
        texts = instruction.class_names
        if instruction.asks_for_text:
            texts = [instruction.language, *sample.answer[1::2]]
        for text, phrases in zip(texts, sample.question_phrases, strict=True):
            for number, (words, objects) in enumerate(phrases[: decoder.hints.phrases.num_phrases]):
                found.append(_Phrase(len(questions), number, words, image, objects))
            questions.append(text)
    return questions, found
