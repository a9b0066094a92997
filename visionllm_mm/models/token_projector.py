"""Image tokens (e_i, l_i) to the LLM's width."""

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from .layers.position_embedding import comparable_embedding

POSITION_DIMS = 64
"""Features of the sine embedding per coordinate."""


@MODELS.register_module()
class TokenProjector(nn.Module):
    """Projects what a token shows and where it is; the two are added.

    Both have a fixed length, that of a word embedding. So image tokens and word embeddings look alike to the LLM, and
    neither part of a token can outgrow the other while training.

    Args:
        token_dims: D, width of e_i.
        llm_dims: width of the LLM.
        box_dims: coordinates of a token: 2, its center, or 4, with its size.
        word_norm: initial length of a projection.
        octaves: how much shorter than the longest the shortest wave of the position embedding is, see
            :func:`comparable_embedding`: few octaves make boxes easy to compare, many make them precise.
    """

    def __init__(
        self, token_dims: int, llm_dims: int, box_dims: int = 2, word_norm: float = 1.0, octaves: int = 3
    ) -> None:
        super().__init__()
        self.box_dims = box_dims
        self.octaves = octaves
        self.norm = nn.LayerNorm(token_dims)
        self.content = nn.Linear(token_dims, llm_dims)
        self.place = nn.Linear(box_dims * POSITION_DIMS, llm_dims)
        self.scale = nn.Parameter(torch.tensor(float(word_norm)))

    def forward(self, content: Tensor, boxes_cxcywh: Tensor) -> Tensor:
        """What the LLM reads of image tokens, (B, M, llm_dims).

        Args:
            content: (B, M, llm_dims), projected contents.
            boxes_cxcywh: (B, M, ``box_dims``) in [0, 1].
        """
        # (B, M, box_dims) -> (B, M, box_dims * POSITION_DIMS) -> (B, M, llm_dims)
        waves = comparable_embedding(boxes_cxcywh, POSITION_DIMS, self.octaves)
        return content + self.normalize(self.place(waves))

    def project_content(self, embeddings: Tensor) -> Tensor:
        """(..., D) -> (..., llm_dims), all of length ``scale``."""
        return self.normalize(self.content(self.norm(embeddings)))

    def normalize(self, vectors: Tensor) -> Tensor:
        """(..., llm_dims), to length ``scale``."""
        return F.normalize(vectors, dim=-1) * self.scale
