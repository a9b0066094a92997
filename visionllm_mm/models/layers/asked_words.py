"""What an answer in words is about, as vectors that the answer begins with."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_MAX_WORDS = 128


class AskedWords(nn.Module):
    """Attention pooling of the words of a question: of all of them, and of its phrases.

    All of them are weighed by one learnt vector, which starts at zero, as their mean. Which words are a phrase is
    chosen by a small encoder that knows their order, so that "Is the star left of the ring?" may become a vector of the
    star, and one of the ring, where the mean is the same for the opposite question.

    Args:
        embed_dims: width of the LLM.
        num_phrases: vectors besides that of all words.
        std: standard deviation of word embeddings.
    """

    def __init__(self, embed_dims: int, num_phrases: int = 0, std: float = 0.02) -> None:
        super().__init__()
        self.attention = nn.Parameter(torch.zeros(embed_dims))
        self.num_phrases = num_phrases
        if num_phrases:
            width = min(128, embed_dims)
            self.inputs = nn.Linear(embed_dims, width)
            self.positions = nn.Parameter(0.5 * torch.randn(_MAX_WORDS, width))
            layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
            self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
            self.choose = nn.Linear(width, num_phrases)
            self.kinds = nn.Parameter(std * torch.randn(num_phrases, embed_dims))

    def forward(self, words: Tensor, valid: Tensor) -> Tensor:
        """What :meth:`pool` gives, where phrases say besides which of them they are."""
        pooled = self.pool(words, valid)
        return pooled + F.pad(self.kinds, (0, 0, 0, 1)) if self.num_phrases else pooled

    def pool(self, words: Tensor, valid: Tensor) -> Tensor:
        """Pools n questions.

        Args:
            words: (n, L, embed_dims).
            valid: (n, L) bool, False where padded; a question has at least one word.

        Returns:
            (n, num_phrases + 1, embed_dims), the phrases and then all words, each as long as a question's words are on
            average.
        """
        # The factor lets it learn as fast as the words do.
        weights = (words @ self.attention * len(self.attention)**0.5)[..., None]
        if self.num_phrases:
            weights = torch.cat([self._choose(words, valid), weights], dim=2)
        weights = weights.masked_fill(~valid[..., None], -torch.inf).softmax(dim=1)
        lengths = (words.norm(dim=2) * valid).sum(dim=1, keepdim=True) / valid.sum(dim=1, keepdim=True)
        return F.normalize(weights.transpose(1, 2) @ words, dim=2) * lengths[..., None]

    def _choose(self, words: Tensor, valid: Tensor) -> Tensor:
        """(n, L, num_phrases), which words are of which phrase."""
        places = torch.arange(words.shape[1], device=words.device).clamp(max=_MAX_WORDS - 1)
        inputs = self.inputs(F.layer_norm(words, words.shape[2:])) + self.positions[places]
        hidden = self.encoder(inputs, src_key_padding_mask=~valid)
        return 3 * self.choose(F.layer_norm(hidden, hidden.shape[2:]))
