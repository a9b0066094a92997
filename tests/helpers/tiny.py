"""Small models and samples with fixed weights, shared by the tests."""

from pathlib import Path

import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from visionllm_mm.instructions import (
    DETECTION_TEMPLATES,
    Vocabulary,
    build_instruction,
    parse_instruction,
    point_format,
)
from visionllm_mm.models import (
    CausalLM,
    OpenEndedTaskDecoder,
    TextEncoder,
    TokenProjector,
    VisionLLM,
)
from visionllm_mm.models.layers.added_tokens import AddedTokens

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / 'configs/visionllm/visionllm-tiny_miniscenes-det.py'
NAMES = ['circle', 'square', 'star', 'red ring']
VOCABULARY = dict(num_classes=8, coord_range=16, max_points=24)
LLM = dict(
    tokenizer='builtin',
    freeze=False,
    config=dict(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    ),
)
LORA = dict(r=4, lora_alpha=8, target_modules=['q_proj', 'k_proj', 'v_proj', 'o_proj'])


def assemble_decoder(llm: CausalLM, hints: dict | None = None, **added_tokens) -> OpenEndedTaskDecoder:
    """A task decoder with its initial weights; ``hints`` are arguments of SmallLLMHints, the rest of AddedTokens."""
    vocabulary = Vocabulary(**VOCABULARY)
    hints = dict(type='NoHints') if hints is None else dict(hints, type='SmallLLMHints')
    return OpenEndedTaskDecoder(
        llm=llm,
        vocabulary=vocabulary,
        added_tokens=AddedTokens.for_llm(llm, vocabulary, **added_tokens),
        projector=TokenProjector(token_dims=16, llm_dims=llm.embed_dims, word_norm=llm.word_norm),
        hints=MODELS.build(dict(hints, llm=llm, vocabulary=vocabulary)),
    )


def build_decoder(seed: int = 0, hints: dict | None = None, **llm) -> OpenEndedTaskDecoder:
    """A task decoder with weights large enough for answers to differ; ``hints`` are arguments of SmallLLMHints."""
    torch.manual_seed(seed)
    decoder = assemble_decoder(CausalLM(**(LLM | llm)), hints)
    decoder.block_chunk = 3
    for parameter in decoder.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter.data, std=0.3)
    return decoder


def save_llama(folder: Path, seed: int = 0, **config) -> tuple[LlamaForCausalLM, PreTrainedTokenizerBase]:
    """A LLaMA with random weights and its tokenizer, saved as Hugging Face saves them."""
    torch.manual_seed(seed)
    tokenizer = CausalLM(**LLM).tokenizer
    saved = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            **(LLM['config'] | dict(tie_word_embeddings=False, num_key_value_heads=4) | config),
        )
    ).eval()
    saved.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return saved, tokenizer


def save_bert(folder: Path, **config) -> None:
    """A BERT with random weights and its tokenizer, saved as Hugging Face saves them."""
    encoder = TextEncoder(
        tokenizer='builtin',
        config=dict(model_type='bert', hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=48)
        | config,
    )
    encoder.encoder.save_pretrained(folder)
    encoder.tokenizer.save_pretrained(folder)


def randomize_adapters(module: torch.nn.Module) -> None:
    """LoRA starts as the identity and passes no gradient to half of its weights; not so any longer."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in module.named_parameters():
        if 'lora_' in name:
            parameter.data.normal_(std=0.1, generator=generator)


def instructions(count: int, num_points: int = 2, names: list[str] | None = None) -> list:
    """Instructions of different templates, lengths and class sets."""
    vocabulary = Vocabulary(**VOCABULARY)
    names = names or NAMES
    texts = [
        build_instruction(
            DETECTION_TEMPLATES[i % len(DETECTION_TEMPLATES)],
            names[: 1 + (i + 1) % len(names)],
            point_format(num_points),
            vocabulary,
        )
        for i in range(count)
    ]
    return [parse_instruction(text, vocabulary) for text in texts]


def model_config() -> Config:
    """The tiny model of the configs, smaller still."""
    cfg = Config.fromfile(CONFIG)
    cfg.model.backbone.base_channels = 8
    cfg.model.neck.in_channels = [16, 32, 64]
    cfg.model.llm.config.update(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4)
    cfg.model.text_encoder.config.update(hidden_size=32, intermediate_size=48)
    return cfg


def build_model(seed: int = 0, llm: dict | None = None) -> VisionLLM:
    """The tiny model; ``llm`` changes arguments of the language model."""
    init_default_scope('mmdet')
    cfg = model_config().model
    cfg.llm = dict(type='CausalLM', **llm) if llm and 'path' in llm else cfg.llm | (llm or {})
    torch.manual_seed(seed)
    model = MODELS.build(cfg)
    model.backbone.init_weights()
    model.neck.init_weights()
    return model


def batch(
    counts: list[int], size: int = 64, seed: int = 0, names: list[str] | None = None, text: str | None = None
) -> tuple[torch.Tensor, list[DetDataSample]]:
    """Random images and samples with ``counts`` objects each, packed as the pipeline packs them."""
    rng = np.random.RandomState(seed)
    vocabulary = Vocabulary(num_classes=64, coord_range=64, max_points=24)
    names = names or NAMES
    samples = []
    for i, count in enumerate(counts):
        template = DETECTION_TEMPLATES[i % len(DETECTION_TEMPLATES)]
        sample = DetDataSample(
            metainfo=dict(
                img_id=i,
                noise_seed=i,
                img_shape=(size, size),
                ori_shape=(size, size),
                batch_input_shape=(size, size),
                scale_factor=(1.0, 1.0),
                instruction=text or build_instruction(template, names, point_format(2), vocabulary),
            )
        )
        corners = np.sort(rng.uniform(0, size, (count, 2, 2)), axis=1).astype(np.float32)
        sample.gt_instances = InstanceData(
            labels=torch.from_numpy(rng.randint(0, len(names), count)),
            points=torch.from_numpy(corners),
            bboxes=torch.from_numpy(corners.reshape(-1, 4)),
        )
        samples.append(sample)
    images = torch.from_numpy(rng.standard_normal((len(counts), 3, size, size)).astype(np.float32))
    return images, samples


def ask_for_text(samples: list[DetDataSample], answers: list[str]) -> None:
    """Makes samples ask for a caption, each with its answer."""
    for sample, answer in zip(samples, answers, strict=True):
        sample.set_metainfo(dict(instruction='Describe the picture in one sentence. <image>', answer=(answer,)))
