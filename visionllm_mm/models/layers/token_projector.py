"""Image tokens (e_i, l_i) to the LLM's width (design 3.1)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .center_embedding import sine_embedding


class TokenProjector(nn.Module):
    """Projects what a token shows and where it is; the two are added.

    The content is normalised to the length of a word embedding, so that image tokens and the word embeddings that
    stand for them in the text-only warm-up look alike to the LLM.

    Args:
        token_dims: D, width of e_i.
        llm_dims: width of the LLM.
        word_norm: initial length of a content vector.
        position_dims: features of the sine embedding per coordinate.
    """

    def __init__(self, token_dims: int, llm_dims: int, word_norm: float = 1.0, position_dims: int = 64) -> None:
        super().__init__()
        self.position_dims = position_dims
        self.norm = nn.LayerNorm(token_dims)
        self.content = nn.Linear(token_dims, llm_dims)
        self.position = nn.Linear(2 * position_dims, llm_dims)
        # Half as long as the content at first: the sine features of a point have length sqrt(2 * position_dims / 2).
        nn.init.normal_(self.position.weight, std=0.5 * word_norm / (llm_dims * position_dims)**0.5)
        nn.init.zeros_(self.position.bias)
        self.scale = nn.Parameter(torch.tensor(float(word_norm)))

    def project_content(self, embeddings: Tensor) -> Tensor:
        """(..., D) -> (..., llm_dims), all of length ``scale``."""
        return self.normalize(self.content(self.norm(embeddings)))

    def normalize(self, content: Tensor) -> Tensor:
        return F.normalize(content, dim=-1) * self.scale

    def project_position(self, centers_norm: Tensor) -> Tensor:
        """(..., 2) in [0, 1] -> (..., llm_dims)."""
        return self.position(sine_embedding(centers_norm, self.position_dims))
