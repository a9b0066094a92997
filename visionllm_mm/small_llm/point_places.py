"""The place of a point along the polygon of its object, as a part of its query."""

import torch
from torch import Tensor, nn

from ..models.layers.position_embedding import circular_embedding, comparable_embedding

HARMONICS = 12
"""Waves along the polygon, the shortest of which is a 12th of it; and of N."""


class PointPlaces(nn.Module):
    """Embeds point i of N: (i - 1) / N, its part of the way along the polygon, N / the most points, and the object.

    ``<x3>`` is a quarter around a polygon of eight points and an eighth around one of 16, which a small LLM does not
    learn to work out from the instruction. And where an object's polygon is at that place is a sum of waves along it,
    whose weights depend on the token (Fourier descriptors): products, which a small LLM learns slowly. Fewer than three
    points enclose nothing, and have no such sum. Starts as zero, so that weights which were trained without it fit.

    Args:
        embed_dims: width of the LLM.
        max_points: the most points of a format.
    """

    def __init__(self, embed_dims: int, max_points: int) -> None:
        super().__init__()
        self.max_points = max_points
        self.projection = nn.Linear(4 * HARMONICS, embed_dims, bias=False)
        self.shown = nn.Sequential(
            nn.LayerNorm(embed_dims),
            nn.Linear(embed_dims, 2 * embed_dims),
            nn.GELU(),
            nn.Linear(2 * embed_dims, 2 * embed_dims),
            nn.GELU(),
        )
        self.along = nn.Linear(2 * HARMONICS, 2 * embed_dims)
        self.polygon = nn.Linear(2 * embed_dims, 2 * embed_dims, bias=False)
        nn.init.zeros_(self.projection.weight)
        nn.init.zeros_(self.polygon.weight)

    def forward(self, inputs: Tensor, num_points: Tensor, length: int) -> Tensor:
        """Embeds the first points of B formats for k tokens each.

        Args:
            inputs: (B, k, embed_dims), what the LLM reads of the tokens.
            num_points: (B,) int64, N of each format, at least 1.
            length: how many points; those behind a format's last one mean nothing.

        Returns:
            (B, k * 2 length, embed_dims): x and y of the first point, of the second ...
        """
        steps = torch.arange(length, device=num_points.device)
        along = (steps / num_points[:, None]).clamp(max=1)
        count = (num_points[:, None] / self.max_points).expand_as(along)
        waves = circular_embedding(along, HARMONICS)
        features = torch.cat([waves, comparable_embedding(count[..., None], 2 * HARMONICS)], dim=-1)
        polygon = self.polygon(self.shown(inputs)[:, :, None] * self.along(waves)[:, None])
        polygon = polygon * (num_points >= 3)[:, None, None, None]
        # (B, k, length, 2 width) -> (B, k, length, 2, width) -> (B, k * 2 length, width)
        return (polygon.unflatten(-1, (2, -1)) + self.projection(features)[:, None, :, None]).flatten(1, 3)
