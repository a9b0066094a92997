"""Image tokens simulated from annotations: what a small LLM learns texts about images from, before the first image.

The texts of LLaVA-Instruct were written from lists of objects and boxes; here image tokens are made from such lists.
"""

from collections.abc import Sequence

import torch
from mmdet.structures import SampleList
from torch import Tensor

from ..models.targets import set_targets
from ..models.task_decoder import OpenEndedTaskDecoder
from ..structures import SetTargets


def simulated_targets(samples: SampleList) -> list[SetTargets]:
    """Targets of samples with ``gt_instances`` and ``object_names`` whose images are not loaded."""
    for sample in samples:
        # Without images no data preprocessor has made tensors of the boxes.
        instances = sample.gt_instances
        instances.bboxes = torch.as_tensor(getattr(instances.bboxes, 'tensor', instances.bboxes))
    return set_targets(samples)


def with_noise(content: Tensor, noise: float, generator: torch.Generator) -> Tensor:
    """Directions of embeddings (..., width), length 1, with noise of length ``noise`` added."""
    random = torch.randn(content.shape, generator=generator).to(content.device) * (noise / content.shape[-1] ** 0.5)
    return torch.nn.functional.normalize(content, dim=-1) + random


def distractor_ids(
    decoder: OpenEndedTaskDecoder, words: Sequence[str], count: int, generator: torch.Generator
) -> Tensor:
    """(``count``,) int64, first ids of random words, which stand where an image shows nothing that is asked for."""
    rows = torch.randint(len(words), (count,), generator=generator).tolist()
    return torch.tensor([decoder.llm.word_ids(words[i])[0] for i in rows])


def simulate_tokens(
    decoder: OpenEndedTaskDecoder,
    names: list[list[str]],
    targets: list[SetTargets],
    slots: list[Tensor],
    distractor_words: list[str],
    num_tokens: int,
    noise: float,
    generator: torch.Generator,
) -> Tensor:
    """What the LLM reads of image tokens (B, M, width): objects at their slots, distractor words elsewhere.

    Where tokens state how likely they are objects, some of the others repeat an object, as real tokens do, and state
    that they are unlikely to be one.

    Args:
        decoder: gives embeddings and the projection of boxes.
        names: of the labels of each image.
        targets: of B images; those without a slot are left out.
        slots: per image the tokens of its first objects, int64.
        distractor_words: stand where there is no object.
        num_tokens: M.
        noise: length of the noise added to a name's embedding, relative to it.
        generator: of boxes, noise and distractor words.
    """
    projector, device = decoder.projector, next(decoder.parameters()).device
    batch = len(targets)
    others = distractor_ids(decoder, distractor_words, batch * num_tokens, generator).view(batch, num_tokens)
    content = decoder.llm.embed_words(others.to(device))
    boxes = torch.rand(batch, num_tokens, projector.box_dims, generator=generator).to(device)
    named = decoder.prefix_builder.embed_names(names).name_embeddings
    for i, target in enumerate(targets):
        slot, count = slots[i].to(device), len(slots[i])
        content = content.index_put((torch.full_like(slot, i), slot), named[i, target.class_index[:count]])
        boxes[i, slot] = target.boxes_cxcywh[:count, : projector.box_dims].clamp(0, 1).to(device)
    objectness = torch.rand(batch, num_tokens, generator=generator).to(device)
    objectness = _limit_objectness(objectness, slots)
    if getattr(decoder.hints, 'objectness', None) is not None:
        content, boxes = _repeat_objects(content, boxes, slots, generator)
    inputs = projector(projector.normalize(with_noise(content, noise, generator)), boxes)
    return decoder.hints.image_tokens(inputs, objectness)


def _limit_objectness(sampled: Tensor, slots: list[Tensor]) -> Tensor:
    """(B, M) in [0, 1] -> 0.2 to 0.7 at the slots, below 0.1 elsewhere, as the focal loss leaves it."""
    is_object = torch.zeros_like(sampled, dtype=torch.bool)
    for i, slot in enumerate(slots):
        is_object[i, slot.to(sampled.device)] = True
    return torch.where(is_object, 0.2 + 0.5 * sampled, 0.1 * sampled)


def _repeat_objects(
    content: Tensor, boxes: Tensor, slots: list[Tensor], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Contents (B, M, width) and boxes (B, M, 2 or 4) where a sixth of the free tokens repeat an object nearby."""
    count, device = content.shape[1], content.device
    source = torch.arange(count).repeat(len(content), 1)
    for i, slot in enumerate(slots):
        repeats = torch.rand(count, generator=generator) < 1 / 6
        repeats[slot] = False
        if len(slot):
            source[i, repeats] = slot[torch.randint(len(slot), (int(repeats.sum()),), generator=generator)]
    moved = (source != torch.arange(count))[..., None]
    shift = 0.03 * torch.randn(boxes.shape, generator=generator) * moved
    source = source.to(device)[..., None]
    # (B, M, 2 or 4) and (B, M, width), each row from the token that it repeats
    boxes = boxes.gather(1, source.expand_as(boxes)) + shift.to(device)
    return content.gather(1, source.expand_as(content)), boxes.clamp(0, 1)
