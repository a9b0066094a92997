"""Tokens that start near the true objects, for training alone (denoising of DN-DETR, arXiv 2203.01305, without its
labels)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from mmdet.registry import MODELS
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from ...structures import Matches, NoisyBoxes, SetTargets, TrainStep
from ..criterion import take_tokens
from .base import AuxiliaryLoss

if TYPE_CHECKING:
    from ..visionllm import VisionLLM


@MODELS.register_module()
class Denoising(AuxiliaryLoss):
    """Losses of box and name of extra tokens that start at noisy copies of the true boxes, prefixed ``dn.``.

    Objects that the instruction does not ask for are used, too: a box is a box.

    Args:
        copies: noisy boxes per object.
        noise: the most that a corner moves, in halves of the box's width and height.
    """

    def __init__(self, copies: int = 3, noise: float = 0.5) -> None:
        super().__init__()
        self.copies = copies
        self.noise = noise

    def check(self, model: 'VisionLLM') -> None:
        if not model.image_tokenizer.as_two_stage:
            raise ValueError('Denoising needs image_tokenizer.as_two_stage=True: its tokens start at boxes')

    def prepare(self, step: TrainStep) -> None:
        if step.targets is not None:
            seeds = [sample.get('noise_seed') for sample in step.samples]
            step.noisy_boxes = noisy_boxes(step.targets, seeds, self.copies, self.noise)

    def forward(self, model: 'VisionLLM', step: TrainStep) -> dict[str, Tensor]:
        if step.noisy_boxes is None:
            return {}
        tokens, criterion = step.tokens.extra, model.criterion
        matches = match_noisy(step.noisy_boxes, step.targets)
        content, inputs = model.project(tokens)
        losses = criterion.box_losses(tokens, matches)
        has_name = matches.class_index >= 0
        named = replace(matches, valid=matches.valid & has_name, class_index=matches.class_index.clamp(min=0))
        losses |= criterion.alignment_losses(take_tokens(content, matches.tokens), step.names, named)
        extra = replace(step, tokens=tokens, content=content, inputs=inputs, matches=matches)
        for part in model.auxiliary.values():
            if part.for_extra_tokens:
                losses |= part(model, extra)
        return {f'dn.{name}': loss for name, loss in losses.items()}


def noisy_boxes(targets: list[SetTargets], seeds: Sequence[int | None], copies: int, noise: float) -> NoisyBoxes:
    """Moves the corners of every object's box, ``copies`` times.

    Args:
        targets: B targets.
        seeds: of the noise of each image, so that it depends on nothing else; None: sampled from PyTorch's generator.
        copies: see :class:`Denoising`.
        noise: see :class:`Denoising`.
    """
    boxes, objects = [], []
    for target, seed in zip(targets, seeds, strict=True):
        generator = torch.Generator().manual_seed(int(torch.randint(2**31, ())) if seed is None else seed)
        corners = target.all_boxes_norm.cpu()
        shift = noise * (2 * torch.rand(copies, len(corners), 2, 2, generator=generator) - 1)
        size = (corners[:, 1] - corners[:, 0])[:, None]
        low, high = (corners + shift * size / 2).clamp(0, 1).sort(dim=2).values.unbind(dim=2)
        noisy = torch.cat([(low + high) / 2, high - low], dim=2).clamp(1e-3, 1 - 1e-3)
        boxes.append(noisy.flatten(0, 1))  # (copies, G + U, 4) -> (copies * (G + U), 4)
        objects.append(torch.arange(len(corners)).repeat(copies))
    count = max(1, *map(len, boxes))
    device = targets[0].points_norm.device
    padded = pad_sequence([*boxes, torch.zeros(count, 4)], batch_first=True, padding_value=0.5)[:-1]
    index = pad_sequence([*objects, torch.zeros(count, dtype=torch.long)], batch_first=True)[:-1]
    valid = torch.arange(count) < torch.tensor([len(row) for row in boxes])[:, None]
    return NoisyBoxes(padded.to(device), index.to(device), valid.to(device))


def match_noisy(noisy: NoisyBoxes, targets: list[SetTargets]) -> Matches:
    """The objects that noisy boxes were made from; the class of those that have no name is -1."""
    rows = []
    for target, objects, valid in zip(targets, noisy.objects, noisy.valid, strict=True):
        low, high = target.all_boxes_norm.unbind(dim=1)
        classes = F.pad(target.class_index, (0, len(low) - len(target)), value=-1)
        kept = valid.nonzero().squeeze(1)
        index = objects[kept]
        rows.append(
            dict(
                tokens=kept,
                objects=index,
                class_index=classes[index],
                target_class=classes[index],
                points_norm=low.new_zeros(len(kept), 1, 2),
                centers_norm=(low + high)[index] / 2,
                sizes_norm=(high - low)[index],
                polygons_norm=target.polygons_norm[index],
            )
        )
    return Matches.collate(rows)
