"""Sine embedding of points, as Deformable DETR embeds positions."""

import math

import torch
from torch import Tensor


def sine_embedding(points_norm: Tensor, dims_per_axis: int, temperature: float = 10000.0) -> Tensor:
    """Embeds normalised points.

    Args:
        points_norm: (..., P), P coordinates in [0, 1], such as x and y.
        dims_per_axis: even number of features per coordinate.
        temperature: ratio of the longest to the shortest wave length.

    Returns:
        (..., P * dims_per_axis) in [-1, 1].
    """
    steps = torch.arange(dims_per_axis // 2, dtype=torch.float32, device=points_norm.device)
    frequencies = 2 * math.pi * temperature**(-2 * steps / dims_per_axis)
    angles = points_norm[..., None] * dims_per_axis / 2 * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(-2)
