"""The language model: any Hugging Face causal LM of LLaMA's architecture, frozen or not, with LoRA or not."""

import re
from collections.abc import Sequence

import torch
from mmdet.registry import MODELS
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig, DynamicCache
from transformers.utils import is_bitsandbytes_available

from .layers.block_attention import to_additive
from .pretrained.frozen_base import NamedBaseModule
from .pretrained.hugging_face import load_pretrained, load_tokenizer, unused_weights
from .pretrained.layer_checkpointing import checkpoint_layers

KeyValues = list[tuple[Tensor, Tensor]]
"""Keys and values per layer, each (B, heads, length, head width)."""


@MODELS.register_module()
class CausalLM(NamedBaseModule):
    """Hidden states of a causal LM for embeddings, an explicit mask and explicit positions.

    Checkpoints hold what trains. A frozen base with pretrained weights is named in them by path and content hash, see
    :class:`NamedBaseModule`.

    Args:
        path: Hugging Face name or local folder of pretrained weights; None for random weights from ``config``.
        config: arguments of the Hugging Face configuration, ``model_type`` included (default llama), where ``path``
            is None. ``vocab_size`` is at least the tokenizer's.
        tokenizer: ``builtin``, tokenizer file, folder or name; None: the one that lies beside the weights.
        lora: arguments of :class:`peft.LoraConfig`, e.g. ``dict(r=64, lora_alpha=16, target_modules=['q_proj',
            'k_proj', 'v_proj', 'o_proj'])`` (paper: LoRA on a frozen Alpaca-7B); None: no LoRA. LoRA weights are
            float32, whatever the base.
        freeze: whether the base model's own weights stay as they are.
        dtype: dtype of the base weights, e.g. ``bfloat16``.
        gradient_checkpointing: whether the layers' activations are computed again in the backward pass instead of
            kept; same results, less memory, a forward pass more.
        quantization: arguments of :class:`transformers.BitsAndBytesConfig` for a frozen base of few bits, e.g.
            ``dict(load_in_4bit=True, bnb_4bit_quant_type='nf4', bnb_4bit_compute_dtype='bfloat16')`` (QLoRA,
            arXiv 2305.14314); None: the base as it is.

    Attributes:
        unused_weights: names in the files at ``path`` that the model does not have.

    Raises:
        ValueError: when neither or both of ``path`` and ``config`` are given, when ``path`` is another kind of model
            or its files are damaged or incomplete, when the tokenizer has more words than the model, or when a
            quantized base has no pretrained weights or is to be trained.
        FileNotFoundError: when weights or tokenizer are missing.
        ImportError: when ``quantization`` is given and bitsandbytes is missing.
    """

    def __init__(
        self,
        path: str | None = None,
        config: dict | None = None,
        tokenizer: str | None = None,
        lora: dict | None = None,
        freeze: bool = True,
        dtype: str = 'float32',
        gradient_checkpointing: bool = False,
        quantization: dict | None = None,
    ) -> None:
        super().__init__()
        if (path is None) == (config is None):
            raise ValueError('CausalLM: give either path= (pretrained) or config= (random weights)')
        loading = {} if quantization is None else self._check_quantization(quantization, path, freeze)
        self.tokenizer = load_tokenizer(tokenizer or path)
        torch_dtype = getattr(torch, dtype)
        self.unused_weights: list[str] = []
        if path is None:
            settings = dict(config)
            settings['vocab_size'] = max(settings.get('vocab_size', 0), len(self.tokenizer))
            hf_config = AutoConfig.for_model(settings.pop('model_type', 'llama'), **settings)
            self.base = AutoModelForCausalLM.from_config(hf_config, dtype=torch_dtype)
            self._start_with_content_matching()
        else:
            self.base, info = load_pretrained(
                AutoModelForCausalLM, path, dtype=torch_dtype, output_loading_info=True, **loading
            )
            self._check_kind(path)
            self.unused_weights = unused_weights(path, info)
        self.frozen = freeze
        self.base.requires_grad_(False)
        if lora is not None:
            inject_adapter_in_model(LoraConfig(**lora), self.base)
            for name, parameter in self.base.named_parameters():
                if 'lora_' in name:  # peft gives adapters the dtype of the base; bfloat16 loses small updates
                    parameter.data = parameter.data.float()
        self.name_base(path, frozen=freeze)
        if not freeze:
            self.base.requires_grad_(True)
        if gradient_checkpointing:
            checkpoint_layers(self.base.model.layers)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        """Refuses an LLM of another depth, of which the layers in common would be loaded."""
        names = [name.removeprefix(prefix) for name in state_dict if name.startswith(prefix)]
        found = {int(match[1]) for name in names if (match := re.match(r'base\.model\.layers\.(\d+)\.', name))}
        depth = len(self.base.model.layers)
        # Of a frozen LLM a checkpoint has the adapters alone, which some layers may lack.
        whole = any('.layers.' in name and 'lora_' not in name for name in names)
        if found and (max(found) >= depth or (whole and max(found) + 1 < depth)):
            raise ValueError(
                f'the checkpoint has an LLM of {max(found) + 1} layers, and this model one of {depth}: '
                f'set model.llm.config.num_hidden_layers={max(found) + 1}, or take the config that the '
                'checkpoint was trained with'
            )
        super()._load_from_state_dict(state_dict, prefix, *args)

    @staticmethod
    def _check_quantization(quantization: dict, path: str | None, freeze: bool) -> dict:
        if path is None or not freeze:
            wrong = 'freeze=False' if path else 'config='
            raise ValueError(
                f'CausalLM: quantization={quantization} can not be combined with {wrong}: a quantized LLM '
                'has pretrained weights (path=) and does not train (freeze=True); train lora= with it'
            )
        if not is_bitsandbytes_available():
            raise ImportError(
                f'CausalLM: quantization={quantization} needs bitsandbytes, which is missing or too old: '
                'run `pip install -U bitsandbytes`, or leave quantization out'
            )
        return dict(quantization_config=BitsAndBytesConfig(**quantization))

    def _check_kind(self, path: str) -> None:
        if not hasattr(getattr(self.base, 'model', None), 'embed_tokens'):
            raise ValueError(
                f"CausalLM: {path!r} is a {self.base.config.model_type} model: give one of LLaMA's architecture"
            )
        words, known = len(self.tokenizer), self.base.config.vocab_size
        if words > known:
            raise ValueError(
                f'CausalLM: the tokenizer has {words} words, but the model {path!r} only {known}: give '
                'the tokenizer that the model was trained with'
            )

    @torch.no_grad()
    def _start_with_content_matching(self) -> None:
        """Lets equal contents attend to each other, and copies what is attended to, where the weights are random.

        Keys start equal to queries (of the first heads, where several share keys), and the output projection undoes
        that of the values, which is orthogonal ("mimetic initialization", arXiv 2305.09828). Without it a small LLM
        stays at chance for thousands of steps in looking up
        a name, or the color of a thing (docs/decisions.md#starting-weights); pretrained weights bring this along.
        """
        for layer in self.base.model.layers:
            attention = layer.self_attn
            rows = len(attention.k_proj.weight)
            attention.k_proj.weight.copy_(attention.q_proj.weight[:rows])
            # There is no half precision form of orthogonal_.
            values = nn.init.orthogonal_(torch.empty(attention.v_proj.weight.shape))
            attention.v_proj.weight.copy_(values)
            # Heads that share keys and values share what they copy.
            groups = attention.num_key_value_groups
            heads = values.unflatten(0, (-1, attention.head_dim)).repeat_interleave(groups, dim=0)
            attention.o_proj.weight.copy_(heads.flatten(0, 1).mT / groups)

    @property
    def embed_dims(self) -> int:
        return self.base.config.hidden_size

    @property
    def hidden_norm(self) -> float:
        """Length of hidden states behind the last norm whose numbers are equally large before it."""
        return self.base.model.norm.weight.detach().float().norm().item()

    @property
    def word_std(self) -> float:
        """Standard deviation of the word embeddings."""
        return self.base.model.embed_tokens.weight.detach().float().std().item()

    @property
    def word_norm(self) -> float:
        """Mean length of the word embeddings."""
        return self.base.model.embed_tokens.weight.detach().float().norm(dim=1).mean().item()

    @property
    def max_length(self) -> int:
        return self.base.config.max_position_embeddings

    @property
    def dtype(self) -> torch.dtype:
        return self.base.model.embed_tokens.weight.dtype

    def word_ids(self, text: str) -> list[int]:
        """Ids of a text's words, no begin or end token added."""
        return self.tokenizer(text, add_special_tokens=False)['input_ids']

    def spread_words(self, count: int) -> list[int]:
        """Ids of ``count`` different words, spread over the 4000 most common ones; fewer where there are fewer."""
        words = list(self.plain_words().values())[:4000]
        return words[:: max(1, len(words) // count)][-count:]

    def plain_words(self) -> dict[str, int]:
        """Words of at least three letters that are one token, and their ids, in the tokenizer's order: common first."""
        words: dict[str, int] = {}
        for i in range(min(len(self.tokenizer), 50000)):
            word = self.tokenizer.decode([i]).strip()
            if word.isascii() and word.isalpha() and len(word) >= 3:
                words.setdefault(word, i)
        return words

    @property
    def start_id(self) -> int:
        """Id of ``<bos>``, which begins every answer; an LLM without one begins with its end token."""
        begin = self.tokenizer.bos_token_id
        return self.tokenizer.eos_token_id if begin is None else begin

    def embed_words(self, ids: Tensor) -> Tensor:
        """Word embeddings, (...,) int64 -> (..., ``embed_dims``)."""
        return self.base.model.embed_tokens(ids)

    def embed_texts(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Word embeddings (n, words, ``embed_dims``) of n texts, float32, and where they are valid (n, words) bool."""
        table = self.base.model.embed_tokens.weight
        ids = [torch.tensor(self.word_ids(text), dtype=torch.long) for text in texts]
        valid = pad_sequence([torch.ones(len(row), dtype=torch.bool) for row in ids], batch_first=True)
        words = self.embed_words(pad_sequence(ids, batch_first=True).to(table.device))
        return words.float(), valid.to(table.device)

    def word_logits(self, hidden: Tensor) -> Tensor:
        """Logits over all words, (..., ``embed_dims``) -> (..., words), float32."""
        return self.base.lm_head(hidden).float()

    def normalize(self, hidden: Tensor) -> Tensor:
        """The norm behind the last layer, (..., ``embed_dims``) -> (..., ``embed_dims``)."""
        return self.base.model.norm(hidden.to(self.dtype))

    def forward(
        self, embeddings: Tensor, mask: Tensor, positions: Tensor, past: KeyValues | None = None
    ) -> tuple[Tensor, KeyValues]:
        """Runs the transformer over new positions.

        Args:
            embeddings: (B, Q, ``embed_dims``).
            mask: (B, Q, past + Q) bool, True = may attend.
            positions: (B, Q) int64 position ids.
            past: keys and values of what went before; not changed.

        Returns:
            Hidden states after the last norm (B, Q, ``embed_dims``), and keys and values of past and new positions.
        """
        cache = DynamicCache(past) if past else DynamicCache()
        output = self.base.model(
            inputs_embeds=embeddings.to(self.dtype),
            attention_mask=to_additive(mask, self.dtype),
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
        )
        return output.last_hidden_state, [(layer.keys, layer.values) for layer in cache.layers]
