"""Phrases of questions, as vectors that answers begin with and that class queries are related to."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..models.layers.position_embedding import comparable_embedding

_MAX_WORDS = 128
_MAX_NUMBER = 8
_DISTANCE_DIMS = 16


class QuestionPhrases(nn.Module):
    """Attention pooling of the words of a question, of all of them and of its phrases, and of the objects meant.

    All words are weighted by one learned vector, which starts at zero, as their mean. A small encoder that knows the
    order of the words chooses which of them are a phrase: "Is the star left of the ring?" may become a vector of the
    star, and one of the ring, where the mean is the same for the opposite question. The image tokens that a phrase
    stands for are added to it as their mean, and as their number. The difference in box of the first two phrases'
    objects is added to all words: which of both is left of, or larger than, the other is then read off one vector.

    Args:
        embed_dims: width of the LLM.
        num_phrases: vectors besides that of all words, at least 2, as questions compare two objects.
        std: standard deviation of word embeddings.
    """

    def __init__(self, embed_dims: int, num_phrases: int, std: float = 0.02) -> None:
        super().__init__()
        if num_phrases < 2:
            raise ValueError(f'num_phrases must be at least 2: questions compare two objects, got {num_phrases}')
        self.num_phrases = num_phrases
        self.attention = nn.Parameter(torch.zeros(embed_dims))
        width = min(128, embed_dims)
        self.inputs = nn.Linear(embed_dims, width)
        self.positions = nn.Parameter(0.5 * torch.randn(_MAX_WORDS, width))
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.choose = nn.Linear(width, num_phrases)
        self.kinds = nn.Parameter(std * torch.randn(num_phrases, embed_dims))
        self.numbers = nn.Parameter(std * torch.randn(_MAX_NUMBER + 1, embed_dims))
        self.match_words = nn.Linear(embed_dims, width)
        self.match_tokens = nn.Linear(embed_dims, width)
        # Equal words match at first.
        nn.init.orthogonal_(self.match_words.weight)
        self.match_tokens.load_state_dict(self.match_words.state_dict())
        self.match_bias = nn.Parameter(torch.tensor(-2.0))
        self.where = nn.Linear(embed_dims, 4)
        self.differ = nn.Linear(4, embed_dims, bias=False)
        # Objects that are a third of the image apart differ by about the length of a word.
        nn.init.normal_(self.differ.weight, std=3 * std)
        self.further = nn.Linear(_DISTANCE_DIMS, embed_dims, bias=False)
        nn.init.normal_(self.further.weight, std=std / 2)

    def forward(self, words: Tensor, valid: Tensor, tokens: Tensor) -> Tensor:
        """Pools n questions about n images.

        Args:
            words: (n, words, embed_dims).
            valid: (n, words) bool, False where padded; a question has at least one word.
            tokens: (n, M, embed_dims), projected image tokens.

        Returns:
            (n, num_phrases + 1, embed_dims), the phrases and then all words. A phrase's vector holds its words, its
            number in the question, and the mean and the count of the objects it stands for; that of all words holds
            how the first two phrases differ.
        """
        pooled = self.pool(words, valid)
        found = self.match(pooled[:, :-1], tokens).sigmoid()  # (n, num_phrases, M)
        number = found.sum(dim=2, keepdim=True)
        # Linear between the vectors of whole numbers.
        near = 1 - (number.clamp(max=_MAX_NUMBER) - torch.arange(_MAX_NUMBER + 1, device=number.device)).abs()
        mean = found @ tokens / number.clamp(min=1)  # (n, num_phrases, embed_dims)
        phrases = self.kinds + mean + near.clamp(min=0) @ self.numbers
        boxes = self.where(mean)  # (n, num_phrases, 4)
        return pooled + torch.cat([phrases, self.differ(boxes[:, :1] - boxes[:, 1:2])], dim=1)

    def relate(self, words: Tensor, valid: Tensor, tokens: Tensor) -> Tensor:
        """How each image token is related to the objects that the second phrase of a text stands for.

        "The star left of the ring" is true of a token by its class and by its box beside the ring's, and "the star
        closest to the ring" by its distance minus that of the closest object that the first phrase stands for.

        Args:
            words: (n, words, embed_dims).
            valid: (n, words) bool, False where padded; a text has at least one word.
            tokens: (n, M, embed_dims), projected image tokens.

        Returns:
            (n, M, embed_dims), the difference in box and in distance; zero where the second phrase stands for nothing.
        """
        first, second = self.match(self.pool(words, valid)[:, :2], tokens).sigmoid().unbind(dim=1)
        number = second.sum(dim=1)[:, None, None]
        differ = self.where(tokens) - self.where(second[:, None] @ tokens / number.clamp(min=1))
        distance = differ[..., :2].norm(dim=2, keepdim=True)
        # Two images' widths further is further than anything else.
        closest = (distance + 2 * (1 - first * (1 - second))[..., None]).amin(dim=1, keepdim=True)
        further = comparable_embedding((distance - closest).clamp(0, 1), _DISTANCE_DIMS, octaves=4)
        return number.clamp(max=1) * (self.differ(differ) + self.further(further))

    def pool(self, words: Tensor, valid: Tensor) -> Tensor:
        """(n, num_phrases + 1, embed_dims), words alone, each as long as a question's words on average."""
        # The factor lets it learn as fast as the words do.
        weights = (words @ self.attention * len(self.attention) ** 0.5)[..., None]
        weights = torch.cat([self._choose(words, valid), weights], dim=2)  # (n, words, num_phrases + 1)
        weights = weights.masked_fill(~valid[..., None], -torch.inf).softmax(dim=1)
        lengths = (words.norm(dim=2) * valid).sum(dim=1, keepdim=True) / valid.sum(dim=1, keepdim=True)
        # (n, num_phrases + 1, words) @ (n, words, width) -> (n, num_phrases + 1, width)
        return F.normalize(weights.transpose(1, 2) @ words, dim=2) * lengths[..., None]

    def match(self, phrases: Tensor, tokens: Tensor) -> Tensor:
        """Logits (n, num_phrases, M): whether phrases (n, num_phrases, dims) stand for tokens (n, M, dims)."""
        phrase_vectors = self.match_words(F.layer_norm(phrases, phrases.shape[2:]))
        token_vectors = self.match_tokens(F.layer_norm(tokens, tokens.shape[2:]))
        # (n, num_phrases, dims) @ (n, dims, M) -> (n, num_phrases, M)
        return phrase_vectors @ token_vectors.transpose(1, 2) / phrase_vectors.shape[2] ** 0.5 + self.match_bias

    def _choose(self, words: Tensor, valid: Tensor) -> Tensor:
        """(n, words, num_phrases), which words are of which phrase."""
        index = torch.arange(words.shape[1], device=words.device).clamp(max=_MAX_WORDS - 1)
        inputs = self.inputs(F.layer_norm(words, words.shape[2:])) + self.positions[index]
        hidden = self.encoder(inputs, src_key_padding_mask=~valid)
        return 3 * self.choose(F.layer_norm(hidden, hidden.shape[2:]))
