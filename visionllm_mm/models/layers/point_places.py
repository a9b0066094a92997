"""What a point of an output format stands for: its place along the outline."""

import torch
from torch import Tensor, nn

from .center_embedding import circular_embedding, comparable_embedding


class PointPlaces(nn.Module):
    """Embeds point i of N as (i - 1) / N, how far along the outline it is, and N / the most points.

    ``<x3>`` is a quarter around an outline of eight points and an eighth around one of 16, which a small LLM does not
    learn to work out from the instruction. Starts as zero, so that weights which were trained without it fit.

    Args:
        embed_dims: width of the LLM.
        max_points: the most points of a format.
        harmonics: waves along the outline, the shortest of which is a ``harmonics``-th of it; and of N.
    """

    def __init__(self, embed_dims: int, max_points: int, harmonics: int = 12) -> None:
        super().__init__()
        self.max_points = max_points
        self.harmonics = harmonics
        self.projection = nn.Linear(4 * harmonics, embed_dims, bias=False)
        nn.init.zeros_(self.projection.weight)

    def forward(self, num_points: Tensor, length: int) -> Tensor:
        """Embeds the first points of B formats.

        Args:
            num_points: (B,) int64, N of each format, at least 1.
            length: P, how many points; those behind a format's last one mean nothing.

        Returns:
            (B, P, embed_dims).
        """
        steps = torch.arange(length, device=num_points.device)
        along = (steps / num_points[:, None]).clamp(max=1)
        count = (num_points[:, None] / self.max_points).expand_as(along)
        features = [circular_embedding(along, self.harmonics),
                    comparable_embedding(count[..., None], 2 * self.harmonics)]
        return self.projection(torch.cat(features, dim=-1))
