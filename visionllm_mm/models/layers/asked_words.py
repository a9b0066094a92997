"""What an answer in words is about, as one vector."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class AskedWords(nn.Module):
    """Attention pooling of the words of a question, as long as a word embedding.

    One learnt vector weighs the words; it starts at zero, as their mean.

    Args:
        embed_dims: width of the LLM.
    """

    def __init__(self, embed_dims: int) -> None:
        super().__init__()
        self.attention = nn.Parameter(torch.zeros(embed_dims))

    def forward(self, words: Tensor, valid: Tensor) -> Tensor:
        """Pools n questions.

        Args:
            words: (n, L, embed_dims).
            valid: (n, L) bool, False where padded; a question has at least one word.

        Returns:
            (n, embed_dims), as long as a question's words are on average.
        """
        # The factor lets it learn as fast as the words do.
        weights = (words @ self.attention * len(self.attention)**0.5).masked_fill(~valid, -torch.inf).softmax(dim=1)
        lengths = (words.norm(dim=2) * valid).sum(dim=1, keepdim=True) / valid.sum(dim=1, keepdim=True)
        return F.normalize((words * weights[..., None]).sum(dim=1), dim=1) * lengths
