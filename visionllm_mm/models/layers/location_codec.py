"""Offsets to distributions over location tokens and back (paper, section 3.3; docs/decisions.md#location-targets)."""

import torch
from torch import Tensor


def encode_soft_targets(offsets_norm: Tensor, coord_range: int, sigma: float) -> Tensor:
    """Target distributions over the 2R + 1 location tokens.

    Args:
        offsets_norm: (...,), offsets from a center in units of the image size; clamped to [-1, 1].
        coord_range: R.
        sigma: standard deviation in bins of a discrete Gaussian around the exact value; 0: one-hot (the paper).

    Returns:
        (..., 2R + 1), rows sum to 1.
    """
    exact = (offsets_norm.clamp(-1, 1) + 1) * coord_range
    bins = torch.arange(2 * coord_range + 1, device=exact.device, dtype=exact.dtype)
    if sigma == 0:
        return torch.nn.functional.one_hot(exact.round().long(), len(bins)).to(exact.dtype)
    return (-0.5 * ((bins - exact[..., None]) / sigma) ** 2).softmax(dim=-1)


def decode_expected_offsets(logits: Tensor, coord_range: int, window: int = 2) -> Tensor:
    """Expected offset over the bins around the most likely one, which is finer than a bin.

    Args:
        logits: (..., 2R + 1).
        coord_range: R.
        window: bins to each side of the arg-max that count.

    Returns:
        (...,) in [-1, 1].
    """
    bins = torch.arange(2 * coord_range + 1, device=logits.device)
    far = (bins - logits.argmax(dim=-1, keepdim=True)).abs() > window
    weights = logits.masked_fill(far, float('-inf')).softmax(dim=-1)
    return (weights * bins).sum(dim=-1) / coord_range - 1
