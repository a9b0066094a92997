"""Language features of an instruction by a Hugging Face encoder (paper, section 3.3: BERT-Base, trained)."""

from collections import OrderedDict

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from ..instructions import shorten
from .pretrained.hugging_face import load_pretrained, load_tokenizer, unused_weights


@MODELS.register_module()
class TextEncoder(nn.Module):
    """BERT-architecture text encoder.

    Args:
        path: Hugging Face name or local folder of pretrained weights; None for random weights from ``config``.
        config: arguments of the Hugging Face configuration, ``model_type`` included, where ``path`` is None;
            ``vocab_size`` is at least the tokenizer's.
        tokenizer: name, folder or tokenizer file; None: the one that lies beside the weights.
        cache_size: how many instructions keep their features while evaluating.

    Attributes:
        unused_weights: names in the files at ``path`` that the encoder does not have, such as the pooling layer.

    Raises:
        ValueError: when neither or both of ``path`` and ``config`` are given, ``path`` is another kind of model, or its
            files are damaged or incomplete.
        FileNotFoundError: when a folder or file is missing.
    """

    def __init__(
        self, path: str | None = None, config: dict | None = None, tokenizer: str | None = None, cache_size: int = 256
    ) -> None:
        super().__init__()
        self.tokenizer = load_tokenizer(tokenizer or path)
        if (path is None) == (config is None):
            raise ValueError('TextEncoder: give either path= (pretrained) or config= (random weights)')
        self.unused_weights: list[str] = []
        if path is None:
            settings = dict(config)
            settings['vocab_size'] = max(settings.get('vocab_size', 0), len(self.tokenizer))
            hf_config = AutoConfig.for_model(settings.pop('model_type', 'bert'), **settings)
            self.encoder = AutoModel.from_config(hf_config, add_pooling_layer=False)
        else:
            try:
                self.encoder, info = load_pretrained(AutoModel, path, add_pooling_layer=False, output_loading_info=True)
            except TypeError as error:  # other architectures have no pooling layer to leave out
                raise ValueError(
                    f"TextEncoder: {path!r} is no text encoder of BERT's architecture: give one such as "
                    'bert-base-uncased'
                ) from error
            self.unused_weights = unused_weights(path, info)
        self.cache_size = cache_size
        self._cache: OrderedDict[tuple[str, ...], tuple[Tensor, Tensor]] = OrderedDict()

    @property
    def embed_dims(self) -> int:
        return self.encoder.config.hidden_size

    @property
    def max_length(self) -> int:
        # RoBERTa's positions begin behind that of the padding.
        unused = 2 if 'roberta' in self.encoder.config.model_type else 0
        return self.encoder.config.max_position_embeddings - unused

    def train(self, mode: bool = True) -> 'TextEncoder':
        self._cache.clear()
        return super().train(mode)

    def _load_from_state_dict(self, *args, **kwargs) -> None:
        self._cache.clear()
        super()._load_from_state_dict(*args, **kwargs)

    def forward(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """Encodes texts.

        While evaluating, the features of a batch of equal texts are computed once and kept, see
        docs/decisions.md#cached-instructions.

        Args:
            texts: B strings.

        Returns:
            Features (B, words, ``embed_dims``) and padding mask (B, words) bool, True = padding.

        Raises:
            ValueError: when a text is longer than the encoder's context.
        """
        same = len(set(texts)) == 1
        if self.training or torch.is_grad_enabled() or not same:
            return self._encode(texts)
        kept = self._cache.get(texts[0])
        if kept is None or kept[0].device != next(self.encoder.parameters()).device:
            kept = self._cache[texts[0]] = self._encode(texts[:1])
            if len(self._cache) > self.cache_size:
                self._cache.popitem(last=False)
        features, padding = kept
        return features.expand(len(texts), -1, -1), padding.expand(len(texts), -1)

    def check_lengths(self, texts: list[str]) -> None:
        """Raises a ValueError where a text is longer than the encoder's context."""
        for text, ids in zip(texts, self.tokenizer(texts)['input_ids'], strict=True):
            if len(ids) > self.max_length:
                raise ValueError(
                    f'the instruction has {len(ids)} tokens, but the text encoder takes '
                    f'{self.max_length}: shorten it or list fewer classes. It begins: {shorten(text)}'
                )

    def _encode(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        batch = self.tokenizer(texts, padding=True, return_tensors='pt')
        if batch['input_ids'].shape[1] > self.max_length:
            self.check_lengths(texts)
        device = next(self.encoder.parameters()).device
        mask = batch['attention_mask'].to(device)
        output = self.encoder(input_ids=batch['input_ids'].to(device), attention_mask=mask)
        return output.last_hidden_state, mask == 0
