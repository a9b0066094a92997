"""Checkpoints that name the frozen base of a pretrained model instead of holding it (docs/decisions.md#checkpoints)."""

import json

import torch
from torch import Tensor, nn

from .weights_digest import weights_digest


class NamedBaseModule(nn.Module):
    """A module with a ``base`` that may be frozen and pretrained, with adapters that train.

    After :meth:`name_base`, state dicts hold of the base its adapters alone, and ``base_source``: path and content hash
    of the pretrained weights. Whoever saves weights gets this form, and loading them is strict all the same. Weights
    that lie in no file, random ones, stay in the checkpoint.
    """

    base: nn.Module

    def __init__(self) -> None:
        super().__init__()
        self._base_path: str | None = None
        self._adapters: dict[str, torch.Size] = {}
        self._named = False
        self._expected_missing: set[str] = set()
        self.register_load_state_dict_post_hook(_excuse_base)

    def name_base(self, path: str | None, frozen: bool) -> None:
        """States where the base's weights are from; called when its adapters alone require a gradient.

        Args:
            path: what they were loaded from; None: they are random.
            frozen: whether they stay as they are. With a path, they are left out of checkpoints then.
        """
        self._base_path = path
        self._adapters = {name: p.shape for name, p in self.base.named_parameters() if p.requires_grad}
        self._named = frozen and path is not None
        if self._named:
            source = json.dumps(dict(path=path, sha256=weights_digest(path))).encode()
            # A tensor: all that copies, averages or converts state dicts can handle it.
            self.register_buffer('base_source', torch.tensor(list(source), dtype=torch.uint8))
            self.register_state_dict_post_hook(_leave_base_out)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        """Refuses a checkpoint of another base or other adapters, which would load without an error otherwise."""
        saved = state_dict.pop(f'{prefix}base_source', None)
        start = f'{prefix}base.'
        held = {name.removeprefix(start): value.shape for name, value in state_dict.items() if name.startswith(start)}
        if saved is not None:
            self._check_source(saved)
            self._check_adapters(held)
            self._expected_missing = {start + name for name in self.base.state_dict() if name not in self._adapters}
        elif self._named and held.keys() - self._adapters:
            raise ValueError(
                f'the checkpoint holds the LLM itself, not adapters of a frozen one, but this model has the frozen LLM '
                f"{self._base_path!r}: set the config's llm (path or config, freeze) as it was when it was trained, or "
                "save the checkpoint's LLM as a Hugging Face folder and give that as llm.path"
            )
        if self._named:
            state_dict[f'{prefix}base_source'] = self.base_source
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _check_source(self, saved: Tensor) -> None:
        there = json.loads(bytes(saved.tolist()))
        needed = (
            f'the checkpoint was trained on the LLM {there["path"]!r} (sha256 {there["sha256"]}), which is not '
            'part of it'
        )
        remedy = 'set llm.path to a folder or the hub name of that LLM'
        if self._base_path is None:
            raise ValueError(f'{needed}, but the LLM of this model has no pretrained weights: {remedy}')
        digest = weights_digest(self._base_path)
        if digest != there['sha256']:
            raise ValueError(
                f'{needed}, but llm.path={self._base_path!r} of this model has other weights (sha256 '
                f'{digest}): {remedy}'
            )

    def _check_adapters(self, held: dict[str, torch.Size]) -> None:
        for name, shape in held.items():
            if self._adapters.get(name) != shape:
                own = self._adapters.get(name)
                raise ValueError(
                    f'the checkpoint has other adapters of the LLM: {name} is {tuple(shape)} there and '
                    f'{"missing" if own is None else tuple(own)} in this model. Set llm.lora as it was when it was '
                    'trained'
                )


def _leave_base_out(module: NamedBaseModule, state_dict: dict, prefix: str, local_metadata: dict) -> None:
    start = f'{prefix}base.'
    for name in [n for n in state_dict if n.startswith(start) and n.removeprefix(start) not in module._adapters]:
        del state_dict[name]


def _excuse_base(module: NamedBaseModule, incompatible_keys) -> None:
    missing = incompatible_keys.missing_keys
    missing[:] = [name for name in missing if name not in module._expected_missing]
    module._expected_missing = set()
