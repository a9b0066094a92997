"""Who may attend to whom in the LLM's sequence: prefix, image region and blocks (docs/architecture.md).

All masks are boolean, True = may attend, of shape (B, queries, keys).
"""

import torch
from torch import Tensor


def prefix_mask(lengths: Tensor, image_starts: Tensor, num_tokens: int, max_length: int) -> Tensor:
    """Mask of the prefix to itself: causal, but image tokens also see each other in both directions.

    Args:
        lengths: (B,) int, length of each prefix; what lies behind it is padding.
        image_starts: (B,) int, position of the first image token.
        num_tokens: M.
        max_length: T, padded length.

    Returns:
        (B, T, T). Every position sees itself, padding included, so that no row is empty.
    """
    index = torch.arange(max_length, device=lengths.device)
    causal = index[:, None] >= index[None, :]
    offset = index[None, :] - image_starts[:, None]
    in_image = (offset >= 0) & (offset < num_tokens)
    mask = causal[None] | (in_image[:, :, None] & in_image[:, None, :])
    valid = index[None, :] < lengths[:, None]
    return (mask & valid[:, None, :]) | torch.eye(max_length, dtype=torch.bool, device=lengths.device)


def blocks_mask(prefix_valid: Tensor, num_blocks: int, block_length: int) -> Tensor:
    """Mask of whole blocks to prefix and blocks: the whole prefix, and causally the own block.

    Args:
        prefix_valid: (B, T) bool, True where the prefix is no padding.
        num_blocks: number of blocks.
        block_length: S, queries per block.

    Returns:
        (B, num_blocks * S, T + num_blocks * S).
    """
    own = torch.ones(block_length, block_length, dtype=torch.bool, device=prefix_valid.device).tril()
    own = torch.block_diag(*([own] * num_blocks)).to(torch.bool)
    batch, size = len(prefix_valid), num_blocks * block_length
    return torch.cat([prefix_valid[:, None].expand(-1, size, -1), own.expand(batch, -1, -1)], dim=2)


def points_mask(prefix_valid: Tensor, kept: Tensor, num_tokens: int, num_queries: int) -> Tensor:
    """Mask of the point queries of some blocks whose ``<cls>`` queries are already among the keys.

    Args:
        prefix_valid: (B, T) bool.
        kept: (B, k) int64, image token of each block.
        num_tokens: M, number of ``<cls>`` keys behind the prefix.
        num_queries: 2N, point queries per block.

    Returns:
        (B, k * 2N, T + M + k * 2N): the prefix, the block's own ``<cls>``, and causally the own block.
    """
    # (B, k) -> (B, k, M) -> (B, k * 2N, M)
    own_class = torch.nn.functional.one_hot(kept, num_tokens).bool().repeat_interleave(num_queries, dim=1)
    blocks = blocks_mask(prefix_valid, kept.shape[1], num_queries)
    length = prefix_valid.shape[1]
    return torch.cat([blocks[:, :, :length], own_class, blocks[:, :, length:]], dim=2)


def to_additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """(B, queries, keys) bool -> (B, 1, queries, keys) of 0 and the most negative number, as HF models take it."""
    additive = torch.zeros(mask.shape, dtype=dtype, device=mask.device)
    return additive.masked_fill_(~mask, torch.finfo(dtype).min)[:, None]
