"""Keys and values of instructions, which the next images that are asked the same share."""

from collections import OrderedDict

import torch

from .llm import CausalLM, KeyValues
from .prefix import Prefix


class TextCache:
    """Keeps what the LLM computes of the text before ``<image>``, the least recent texts first to go.

    Args:
        max_tokens: tokens of all texts together; 0.5 MB each for LLaMA-7B.
    """

    def __init__(self, max_tokens: int = 4096) -> None:
        self.max_tokens = max_tokens
        self._kept: OrderedDict[str, KeyValues] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def clear(self) -> None:
        """Forgets all texts, as other weights give other keys and values."""
        self._kept.clear()

    def read(self, llm: CausalLM, prefix: Prefix, texts: list[str]) -> KeyValues | None:
        """Keys and values of the text before ``<image>`` for B images; None where their texts differ or are not kept.

        Args:
            llm: the language model.
            prefix: the embedded instructions.
            texts: B instructions; gradients are needed for none of them.
        """
        start = int(prefix.image_starts[0])
        if torch.is_grad_enabled() or len(set(texts)) > 1 or start == 0:
            return None
        kept, device = self._kept.get(texts[0]), prefix.embeddings.device
        if kept is None or kept[0][0].device != device:
            causal = torch.ones(1, start, start, dtype=torch.bool, device=device).tril()
            _, kept = llm(prefix.embeddings[:1, :start], causal, prefix.positions[:1, :start])
            self._kept[texts[0]] = kept
            while sum(layers[0][0].shape[2] for layers in self._kept.values()) > self.max_tokens:
                self._kept.popitem(last=False)
        size = (len(texts), -1, -1, -1)
        return [(keys.expand(size), values.expand(size)) for keys, values in kept]
