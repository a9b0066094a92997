"""What a point of an output format stands for: its place along the outline of what the token shows."""

import torch
from torch import Tensor, nn

from .position_embedding import circular_embedding, comparable_embedding


class PointPlaces(nn.Module):
    """Embeds point i of N: (i - 1) / N, how far along the outline it is, N / the most points, and what is shown there.

    ``<x3>`` is a quarter around an outline of eight points and an eighth around one of 16, which a small LLM does not
    learn to work out from the instruction. And where a thing's outline is at that place is a sum of waves along it,
    whose weights depend on the token (Fourier descriptors): products, which a small LLM learns slowly. Fewer than three
    points enclose nothing, and have no such sum. Starts as zero, so that weights which were trained without it fit.

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
        self.shown = nn.Sequential(
            nn.LayerNorm(embed_dims),
            nn.Linear(embed_dims, 2 * embed_dims),
            nn.GELU(),
            nn.Linear(2 * embed_dims, 2 * embed_dims),
            nn.GELU(),
        )
        self.along = nn.Linear(2 * harmonics, 2 * embed_dims)
        self.outline = nn.Linear(2 * embed_dims, 2 * embed_dims, bias=False)
        nn.init.zeros_(self.projection.weight)
        nn.init.zeros_(self.outline.weight)

    def forward(self, inputs: Tensor, num_points: Tensor, length: int) -> Tensor:
        """Embeds the first points of B formats for k tokens each.

        Args:
            inputs: (B, k, embed_dims), what the LLM reads of the tokens.
            num_points: (B,) int64, N of each format, at least 1.
            length: P, how many points; those behind a format's last one mean nothing.

        Returns:
            (B, k * 2P, embed_dims): x and y of the first point, of the second ...
        """
        steps = torch.arange(length, device=num_points.device)
        along = (steps / num_points[:, None]).clamp(max=1)
        count = (num_points[:, None] / self.max_points).expand_as(along)
        waves = circular_embedding(along, self.harmonics)
        features = torch.cat([waves, comparable_embedding(count[..., None], 2 * self.harmonics)], dim=-1)
        outline = self.outline(self.shown(inputs)[:, :, None] * self.along(waves)[:, None])
        outline = outline * (num_points >= 3)[:, None, None, None]
        return (outline.unflatten(-1, (2, -1)) + self.projection(features)[:, None, :, None]).flatten(1, 3)
