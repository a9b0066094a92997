"""Warm-up of a small LLM on texts about images that it is told of instead of shown.

It stands for what the paper's pretrained LLM knows: to read a question or an expression, to find what it is about
among the image tokens, and to put it into words. As the texts of LLaVA-Instruct were written from lists of objects and
boxes, image tokens are made from such lists here.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from mmdet.structures import SampleList
from torch import Tensor
from torch.nn import functional as F

from ..instructions import parse_instruction
from ..models.losses import ClassTokenLoss
from ..models.targets import set_targets
from ..models.task_decoder import OpenEndedTaskDecoder
from ..models.text_decoding import answer_logits
from ..structures import SetTargets
from .phrase_loss import AskedObjectsLoss
from .warmups import report_means, stranger_ids, train_steps, with_noise


@dataclass
class DescribedImages:
    """A batch of B images that are told instead of shown.

    Attributes:
        samples: with ``instruction`` and ``object_names``; and with ``answer`` where words are asked for.
        objects: what the images show; the class index counts ``object_names``.
    """

    samples: SampleList
    objects: list[SetTargets]


def described_images(samples: SampleList) -> DescribedImages:
    """A batch of samples with ``gt_instances`` and ``object_names`` whose images are not loaded."""
    for sample in samples:
        # Without images no data preprocessor has made tensors of the boxes.
        known = sample.gt_instances
        known.bboxes = torch.as_tensor(getattr(known.bboxes, 'tensor', known.bboxes))
    return DescribedImages(samples, set_targets(samples))


def warm_up_on_descriptions(
    decoder: OpenEndedTaskDecoder,
    batches: Iterator[DescribedImages],
    *,
    num_tokens: int,
    num_iters: int,
    lr: float,
    noise: float,
    seed: int,
    asked_weight: float = 0.0,
    text_loss: Callable[[SampleList], Tensor] | None = None,
    report: Callable[[int, float], None] | None = None,
) -> None:
    """Trains the decoder to answer about images whose objects are told by name and place, in place.

    Words are learnt where an instruction asks for words, and else which tokens are of the one class it asks for.

    Args:
        decoder: the task decoder; all of its weights that require a gradient are trained.
        batches: without end; one kind of answer per batch.
        num_tokens: M, tokens per sequence.
        num_iters: optimiser steps.
        lr: peak learning rate (AdamW, linear warm-up over a tenth of the steps, then linear decay).
        noise: length of the noise added to a name's embedding, relative to it.
        seed: seed of places, noise and the words that stand where there is no object.
        asked_weight: weight of :class:`AskedObjectsLoss`, for a decoder with ``asked_phrases``.
        text_loss: a further loss of a quarter of the samples' texts; None: none.
        report: called every 100 steps with step and mean loss since the last call.
    """
    generator = torch.Generator().manual_seed(seed)
    strangers, loss_asked = sorted(decoder.llm.plain_words()), AskedObjectsLoss(asked_weight)

    def find_loss() -> Tensor:
        batch = next(batches)
        names = [sample.object_names for sample in batch.samples]
        slots = [torch.randperm(num_tokens, generator=generator)[: len(objects)] for objects in batch.objects]
        tokens = describe(decoder, names, batch.objects, slots, strangers, num_tokens, noise, generator)
        loss = _loss(decoder, batch, tokens, slots)
        if asked_weight:
            loss = loss + loss_asked(decoder, batch.samples, tokens, slots, batch.objects)
        # A quarter of the texts is enough for what is read off them alone, and as much work as the answers to all.
        return loss if text_loss is None else loss + text_loss(batch.samples[::4])

    report_means(train_steps(decoder, find_loss, num_iters, lr), every=100, report=report)


def _loss(decoder: OpenEndedTaskDecoder, batch: DescribedImages, tokens: Tensor, slots: list[Tensor]) -> Tensor:
    instructions = [parse_instruction(sample.instruction, decoder.vocabulary) for sample in batch.samples]
    if instructions[0].asks_for_words:
        logits, words = answer_logits(decoder, instructions, tokens, [sample.answer for sample in batch.samples])
        return F.cross_entropy(logits.flatten(0, 1), words.flatten())  # WordLoss waits for other processes
    targets = torch.ones(tokens.shape[:2], dtype=torch.int64)  # 0: the one class, 1: no object
    for i, (slot, target) in enumerate(zip(slots, batch.objects, strict=True)):
        targets[i, slot[(target.asked_class >= 0)[: len(slot)].cpu()]] = 0
    loss_class = ClassTokenLoss(none_weight=0.3)
    total, weight = loss_class(decoder.class_logits(decoder.read(instructions, tokens)), targets.to(tokens.device))
    return total / weight


def describe(
    decoder: OpenEndedTaskDecoder,
    names: list[list[str]],
    objects: list[SetTargets],
    slots: list[Tensor],
    strangers: list[str],
    num_tokens: int,
    noise: float,
    generator: torch.Generator,
) -> Tensor:
    """Projected image tokens (B, M, width) of objects that are told: at their slots, other words elsewhere.

    Where tokens say how likely they are objects, some of the others repeat an object, as real tokens do, and say that
    they are unlikely to be one.

    Args:
        decoder: gives embeddings and the projection of places.
        names: of the labels of each image.
        objects: of B images; those without a slot are not told.
        slots: per image the tokens of its first objects, int64.
        strangers: what may be said where there is no object.
        num_tokens: M.
        noise: see :func:`warm_up_on_descriptions`.
        generator: of places, noise and other words.
    """
    projector, device = decoder.projector, next(decoder.parameters()).device
    batch = len(objects)
    others = stranger_ids(decoder, strangers, batch * num_tokens, generator).view(batch, num_tokens)
    content = decoder.llm.embed_words(others.to(device))
    places = torch.rand(batch, num_tokens, projector.place_dims, generator=generator).to(device)
    named = decoder.prefix_builder.embed_names(names).name_embeddings
    for i, target in enumerate(objects):
        slot, count = slots[i].to(device), len(slots[i])
        content = content.index_put((torch.full_like(slot, i), slot), named[i, target.class_index[:count]])
        places[i, slot] = target.places_norm[:count, : projector.place_dims].clamp(0, 1).to(device)
    objectness = torch.rand(batch, num_tokens, generator=generator).to(device)
    objectness = _limit_objectness(objectness, slots)
    if projector.objectness is not None:
        content, places = _repeat_objects(content, places, slots, generator)
    return projector(projector.normalize(with_noise(content, noise, generator)), places, objectness)


def _limit_objectness(drawn: Tensor, slots: list[Tensor]) -> Tensor:
    """(B, M) in [0, 1] -> 0.2 to 0.7 at the slots, below 0.1 elsewhere, as the focal loss leaves it."""
    is_object = torch.zeros_like(drawn, dtype=torch.bool)
    for i, slot in enumerate(slots):
        is_object[i, slot.to(drawn.device)] = True
    return torch.where(is_object, 0.2 + 0.5 * drawn, 0.1 * drawn)


def _repeat_objects(
    content: Tensor, places: Tensor, slots: list[Tensor], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Contents (B, M, width) and places (B, M, 2 or 4) where a sixth of the free tokens repeat an object nearby."""
    count, device = content.shape[1], content.device
    source = torch.arange(count).repeat(len(content), 1)
    for i, slot in enumerate(slots):
        repeats = torch.rand(count, generator=generator) < 1 / 6
        repeats[slot] = False
        if len(slot):
            source[i, repeats] = slot[torch.randint(len(slot), (int(repeats.sum()),), generator=generator)]
    moved = (source != torch.arange(count))[..., None]
    shift = 0.03 * torch.randn(places.shape, generator=generator) * moved
    source = source.to(device)[..., None]
    places = places.gather(1, source.expand_as(places)) + shift.to(device)
    return content.gather(1, source.expand_as(content)), places.clamp(0, 1)
