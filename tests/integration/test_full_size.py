"""The paper's first stage in full size, R50, BERT-Base and a 7B LLM with LoRA, counted without memory for it."""

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from tests.helpers.tiny import CONFIG, LORA
from visionllm_mm.models.pretrained.hugging_face import load_tokenizer

GIGABYTE = 1e9


class _OfSize:
    """A tokenizer that has as many words as the real one."""

    def __init__(self, tokenizer, size):
        self.tokenizer, self.size = tokenizer, size

    def __len__(self):
        return self.size

    def __getattr__(self, name):
        return getattr(self.tokenizer, name)


def _full_size(model):
    model.vocabulary = dict(num_classes=512, coord_range=512, max_points=24)
    model.backbone = dict(
        type='ResNet', depth=50, out_indices=(1, 2, 3), frozen_stages=1, norm_cfg=dict(type='BN', requires_grad=False)
    )
    model.neck.update(in_channels=[512, 1024, 2048], out_channels=256)
    for part in (model.image_tokenizer.encoder, model.image_tokenizer.decoder):
        part.num_layers = 6
        for name, layer in part.layer_cfg.items():
            layer.embed_dims = 256
            if 'num_points' in layer:
                layer.num_points = 4
            if name == 'ffn_cfg':
                layer.feedforward_channels = 1024
    model.image_tokenizer.positional_encoding.num_feats = 128
    model.image_tokenizer.num_tokens = 100
    model.text_encoder.config = dict(model_type='bert')
    model.llm = dict(
        type='CausalLM',
        tokenizer='builtin',
        dtype='bfloat16',
        lora=LORA | dict(r=64, lora_alpha=16),
        config=dict(hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32),
    )
    return model


def _gigabytes(parameters):
    return sum(p.numel() * p.element_size() for p in parameters) / GIGABYTE


@pytest.fixture
def model(monkeypatch):
    init_default_scope('mmdet')
    for module, size in (('llm', 32000), ('text_encoder', 30522)):
        monkeypatch.setattr(
            f'visionllm_mm.models.{module}.load_tokenizer',
            lambda source, size=size: _OfSize(load_tokenizer(source), size),
        )
    item = torch.Tensor.item  # of initial weights, which are not there
    monkeypatch.setattr(torch.Tensor, 'item', lambda tensor: 0.02 if tensor.is_meta else item(tensor))
    with torch.device('meta'):
        return MODELS.build(_full_size(Config.fromfile(CONFIG).model))


def test_what_trains_is_a_small_part(model):
    trained = [p for p in model.parameters() if p.requires_grad]
    base = [p for p in model.task_decoder.llm.parameters() if not p.requires_grad]
    lora = [p for p in model.task_decoder.llm.parameters() if p.requires_grad]
    print(
        f'\ntrained {sum(p.numel() for p in trained):,}, of these LoRA {sum(p.numel() for p in lora):,}: '
        f'{_gigabytes(trained):.2f} GB; frozen LLM {sum(p.numel() for p in base):,}: {_gigabytes(base):.2f} GB'
    )
    assert sum(p.numel() for p in lora) == 32 * 4 * 2 * 64 * 4096
    assert _gigabytes(base) > 13
    # Weights, and AdamW's state in its own file: no file of 2 GB, with averaged weights beside the weights neither.
    assert 2 * _gigabytes(trained) < 2
