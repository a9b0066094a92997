"""Gradient checkpointing of a Hugging Face decoder's layers that keeps their keys and values."""

from types import MethodType

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import Cache


def checkpoint_layers(layers: nn.ModuleList) -> None:
    """From now on the layers compute their activations again in the backward pass while they train.

    transformers' own gradient checkpointing drops the cache of keys and values, which the second pass of the decoding
    goes on from. Here a layer's keys and values are inputs and outputs of the checkpointed call, so results and
    gradients stay the same.

    Args:
        layers: decoder layers of LLaMA's architecture; changed in place, their parameters keep their names.
    """
    for layer in layers:
        # A bound method follows its layer into deep copies, a closure would not.
        layer.forward = MethodType(_forward, layer)


class _OneLayer:
    """The cache that a layer sees while it is computed, for the first time or again."""

    def __init__(self, *past: Tensor) -> None:
        self.keys, self.values = past or (None, None)

    def update(self, keys: Tensor, values: Tensor, *args, **kwargs) -> tuple[Tensor, Tensor]:
        if self.keys is not None:
            keys, values = torch.cat([self.keys, keys], dim=-2), torch.cat([self.values, values], dim=-2)
        self.keys, self.values = keys, values
        return keys, values


def _forward(layer: nn.Module, hidden_states: Tensor, *args, past_key_values: Cache, **kwargs) -> Tensor:
    plain = type(layer).forward
    if not layer.training:
        return plain(layer, hidden_states, *args, past_key_values=past_key_values, **kwargs)
    index = layer.self_attn.layer_idx
    known = past_key_values.layers[index] if index < len(past_key_values.layers) else None

    def run(hidden_states: Tensor, *past: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        cache = _OneLayer(*past)
        return plain(layer, hidden_states, *args, past_key_values=cache, **kwargs), cache.keys, cache.values

    past = (known.keys, known.values) if known else ()
    hidden_states, keys, values = checkpoint(run, hidden_states, *past, use_reentrant=False)
    if known:
        known.keys, known.values = keys, values
    else:
        past_key_values.update(keys, values, index)
    return hidden_states
