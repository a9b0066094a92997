"""Sine embeddings of positions: in images, on closed lines, and of what can be compared."""

import math

import torch
from torch import Tensor


def sine_embedding(points_norm: Tensor, dims_per_axis: int, temperature: float = 10000.0) -> Tensor:
    """Embeds normalized points in the manner of Deformable DETR, with shorter waves.

    They run from ``dims_per_axis`` / 2 periods per image downwards.

    Args:
        points_norm: (..., coords), coordinates in [0, 1], such as x and y.
        dims_per_axis: even number of features per coordinate.
        temperature: ratio of the longest to the shortest wave length.

    Returns:
        (..., coords * dims_per_axis) in [-1, 1].
    """
    steps = torch.arange(dims_per_axis // 2, dtype=torch.float32, device=points_norm.device)
    return _waves(points_norm, dims_per_axis / 2 * temperature ** (-2 * steps / dims_per_axis))


def comparable_embedding(points_norm: Tensor, dims_per_axis: int, octaves: int = 3) -> Tensor:
    """Embeds normalized points in long waves, the longest a quarter of a period per image.

    Over a quarter of a period sine and cosine only rise or fall, so what is further left, or larger, has the larger
    product with one direction. In :func:`sine_embedding` most features go through many periods.

    Args:
        points_norm: (..., coords), coordinates in [0, 1].
        dims_per_axis: even number of features per coordinate.
        octaves: the shortest wave is 2 ** ``octaves`` times shorter.

    Returns:
        (..., coords * dims_per_axis) in [-1, 1].
    """
    steps = torch.arange(dims_per_axis // 2, dtype=torch.float32, device=points_norm.device)
    return _waves(points_norm, 0.25 * 2 ** (2 * octaves * steps / dims_per_axis))


def circular_embedding(parts: Tensor, harmonics: int) -> Tensor:
    """Embeds positions on a closed line as the first terms of a Fourier series, which its last and first point share.

    Args:
        parts: (...,), parts of the line's length, in [0, 1].
        harmonics: number of waves; the shortest is as long as the line divided by it.

    Returns:
        (..., 2 harmonics) in [-1, 1].
    """
    return _waves(parts[..., None], 1 + torch.arange(harmonics, dtype=torch.float32, device=parts.device))


def _waves(points: Tensor, periods: Tensor) -> Tensor:
    """Sines and cosines of (..., coords) points with F numbers of periods per unit: (..., coords * 2 F)."""
    angles = 2 * math.pi * points[..., None] * periods
    # (..., coords, F) -> (..., coords * 2 F)
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(-2)
