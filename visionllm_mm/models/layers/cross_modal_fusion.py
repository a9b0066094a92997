"""Injects language into one feature scale (paper, section 3.3, "language-guided image tokenizer")."""

from torch import Tensor, nn


class CrossModalFusion(nn.Module):
    """Cross-attention with visual tokens as queries and language features as keys and values, added to the input.

    Args:
        embed_dims: D, width of visual and language features.
        num_heads: attention heads.
        dropout: dropout of the attention weights, in [0, 1).
    """

    def __init__(self, embed_dims: int, num_heads: int = 8, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(embed_dims)
        self.attention = nn.MultiheadAttention(embed_dims, num_heads, dropout=dropout, batch_first=True)
        # Starts as the identity, so that untrained language features do not disturb the visual ones.
        nn.init.zeros_(self.attention.out_proj.weight)
        nn.init.zeros_(self.attention.out_proj.bias)

    def forward(self, visual: Tensor, language: Tensor, language_padding: Tensor) -> Tensor:
        """Fuses one scale.

        Args:
            visual: (B, D, H, W).
            language: (B, words, D).
            language_padding: (B, words) bool, True = padding.

        Returns:
            (B, D, H, W).
        """
        # (B, D, H, W) -> (B, H * W, D)
        tokens = visual.flatten(2).transpose(1, 2)
        fused, _ = self.attention(
            self.norm(tokens), language, language, key_padding_mask=language_padding, need_weights=False
        )
        # (B, H * W, D) -> (B, D, H, W)
        return (tokens + fused).transpose(1, 2).reshape(visual.shape)
