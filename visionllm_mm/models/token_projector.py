"""Image tokens (e_i, l_i) to the LLM's width (design 3.1)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .layers.position_embedding import comparable_embedding


class TokenProjector(nn.Module):
    """Projects what a token shows and where it is; the two are added, and how likely it is an object, if asked to.

    Both have a fixed length, that of a word embedding. So image tokens and the word embeddings that stand for them in
    the text-only warm-up look alike to the LLM, and neither part of a token can outgrow the other while training.

    Args:
        token_dims: D, width of e_i.
        llm_dims: width of the LLM.
        place_dims: coordinates of a place: 2, its centre, or 4, with its size.
        word_norm: initial length of a content vector.
        position_dims: features of the sine embedding per coordinate.
        place_octaves: how much shorter than the longest its shortest wave is, see :func:`comparable_embedding`.
        tell_objectness: whether the LLM is told how likely a token is an object. Starts as zero, so that weights which
            were trained without it fit.
    """

    def __init__(
        self,
        token_dims: int,
        llm_dims: int,
        place_dims: int = 2,
        word_norm: float = 1.0,
        position_dims: int = 64,
        place_octaves: int = 3,
        tell_objectness: bool = False,
    ) -> None:
        super().__init__()
        self.place_dims = place_dims
        self.position_dims = position_dims
        self.place_octaves = place_octaves
        self.norm = nn.LayerNorm(token_dims)
        self.content = nn.Linear(token_dims, llm_dims)
        self.place = nn.Linear(place_dims * position_dims, llm_dims)
        self.scale = nn.Parameter(torch.tensor(float(word_norm)))
        self.objectness = nn.Parameter(torch.zeros(llm_dims)) if tell_objectness else None

    def forward(self, content: Tensor, places_norm: Tensor, objectness: Tensor) -> Tensor:
        """What the LLM reads of image tokens, (B, M, llm_dims).

        Args:
            content: (B, M, llm_dims), projected contents.
            places_norm: (B, M, ``place_dims``) in [0, 1].
            objectness: (B, M), probabilities in [0, 1].
        """
        inputs = content + self.project_place(places_norm)
        return inputs if self.objectness is None else inputs + objectness[..., None] * self.objectness

    def project_content(self, embeddings: Tensor) -> Tensor:
        """(..., D) -> (..., llm_dims), all of length ``scale``."""
        return self.normalize(self.content(self.norm(embeddings)))

    def project_place(self, places_norm: Tensor) -> Tensor:
        """(..., ``place_dims``) in [0, 1] -> (..., llm_dims), all of length ``scale``."""
        return self.normalize(self.place(comparable_embedding(places_norm, self.position_dims, self.place_octaves)))

    def normalize(self, vectors: Tensor) -> Tensor:
        """(..., llm_dims), to length ``scale``."""
        return F.normalize(vectors, dim=-1) * self.scale
