"""Tokens that start near the true objects, for training alone (denoising of DN-DETR, without its labels)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ...structures import SetTargets


@dataclass
class NoisyStarts:
    """Starts of Q extra tokens per image, padded.

    Attributes:
        places_norm: (B, Q, 4), noisy centres and sizes in (0, 1).
        objects: (B, Q) int64, the object that each was made from: 0 .. K - 1 of those asked for, then the distractors.
        valid: (B, Q) bool, False = padding.
    """

    places_norm: Tensor
    objects: Tensor
    valid: Tensor


def noisy_starts(targets: list[SetTargets], seeds: Sequence[int | None], copies: int, noise: float) -> NoisyStarts:
    """Moves the corners of every object's box, ``copies`` times.

    Args:
        targets: B targets; objects that the instruction does not ask for are used, too: a box is a box.
        seeds: of the noise of each image, so that it depends on nothing else; None: drawn from PyTorch's generator.
        copies: starts per object.
        noise: the most that a corner moves, in halves of the box's width and height.
    """
    places, objects = [], []
    for target, seed in zip(targets, seeds, strict=True):
        generator = torch.Generator().manual_seed(int(torch.randint(2**31, ())) if seed is None else seed)
        boxes = target.all_boxes_norm.cpu()
        shift = noise * (2 * torch.rand(copies, len(boxes), 2, 2, generator=generator) - 1)
        size = (boxes[:, 1] - boxes[:, 0])[:, None]
        low, high = (boxes + shift * size / 2).clamp(0, 1).sort(dim=2).values.unbind(dim=2)
        noisy = torch.cat([(low + high) / 2, high - low], dim=2).clamp(1e-3, 1 - 1e-3)
        places.append(noisy.flatten(0, 1))
        objects.append(torch.arange(len(boxes)).repeat(copies))
    count = max(1, *map(len, places))
    device = targets[0].points_norm.device
    padded = pad_sequence([*places, torch.zeros(count, 4)], batch_first=True, padding_value=0.5)[:-1]
    index = pad_sequence([*objects, torch.zeros(count, dtype=torch.long)], batch_first=True)[:-1]
    valid = torch.arange(count) < torch.tensor([len(row) for row in places])[:, None]
    return NoisyStarts(padded.to(device), index.to(device), valid.to(device))
