"""Embeddings and output rows of the added vocabulary, apart from the base LLM's tables."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ...instructions import Vocabulary

if TYPE_CHECKING:
    from ..llm import CausalLM


class AddedTokens(nn.Module):
    """Input embeddings and output rows of class, location and format tokens.

    Args:
        num_tokens: size of the added vocabulary.
        embed_dims: width of the LLM.
        std: standard deviation of the initial weights.
        hidden_norm: length of the LLM's hidden states.
        first: (up to ``num_tokens``, ``embed_dims``), initial embeddings of the first tokens; None: random, too.
    """

    def __init__(
        self, num_tokens: int, embed_dims: int, std: float = 0.02, hidden_norm: float = 1.0, first: Tensor | None = None
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_tokens, embed_dims)
        nn.init.normal_(self.embedding.weight, std=std)
        if first is not None:
            self.embedding.weight.data[: len(first)] = first
        # Output rows start equal to the embeddings, as in an LLM with tied tables, and are trained apart from them.
        # Where hidden states are long, as pretrained ones are, the rows start shorter: logits that vary by 1 at most,
        # instead of tokens of which the model is sure before it has seen an image.
        self.output_rows = nn.Parameter(self.embedding.weight.detach() / max(1.0, std * hidden_norm))

    @classmethod
    def for_llm(cls, llm: 'CausalLM', vocabulary: Vocabulary, class_words: bool = False) -> 'AddedTokens':
        """The added tokens of an LLM, as large as its word embeddings.

        Args:
            llm: the language model.
            vocabulary: the added tokens.
            class_words: whether class tokens start as common words of the LLM, which a pretrained one has learned to
                copy to where they fit.
        """
        words = llm.base.model.embed_tokens.weight.detach()
        chosen = llm.spread_words(vocabulary.num_classes + 1) if class_words else []
        first = words[torch.tensor(chosen, dtype=torch.long)].float()
        return cls(vocabulary.size, llm.embed_dims, llm.word_std, llm.hidden_norm, first)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        """Refuses weights of another size, which a non-strict load would pass over with a warning."""
        saved = state_dict.get(f'{prefix}output_rows')
        if saved is not None and saved.shape != self.output_rows.shape:
            raise ValueError(
                f'the checkpoint was made with another vocabulary or LLM: {prefix}output_rows, (added tokens, LLM '
                f'width), is {tuple(saved.shape)} there and {tuple(self.output_rows.shape)} in this model. Set the '
                "config's vocabulary (num_classes, coord_range, max_points) and llm as they were when it was trained"
            )
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self, ids: Tensor) -> Tensor:
        """Embeddings, (...,) int64 -> (..., embed_dims)."""
        return self.embedding(ids)

    def logits(self, hidden: Tensor, ids: Tensor) -> Tensor:
        """Logits over the tokens that a position may take, never over the whole vocabulary.

        Args:
            hidden: (B, Q, embed_dims).
            ids: (B, allowed) or (allowed,) int64, admissible added tokens.

        Returns:
            (B, Q, allowed), float32 also within autocast: neighboring location tokens differ by little.
        """
        with torch.autocast(hidden.device.type, enabled=False):
            # (B, Q, width) @ (B, width, allowed) -> (B, Q, allowed)
            return hidden.float() @ self.output_rows[ids].float().transpose(-1, -2)
