"""A training step and a prediction of the paper's model in small; the caller decides what can be imported."""

import torch
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope

from tests.helpers.tiny import ask_for_text, batch
from visionllm_mm.models import NoHints, VisionLLM


def shrink(model: ConfigDict) -> None:
    """One layer where the paper has six, 10 tokens, and the smallest InternImage."""
    model.backbone.init_cfg = None
    if model.backbone.type == 'InternImage':
        model.backbone.arch, model.neck.in_channels = 'T', [128, 256, 512]
    for part in (model.image_tokenizer.encoder, model.image_tokenizer.decoder):
        part.num_layers = 1
    model.image_tokenizer.num_tokens = 10
    model.test_cfg.text = dict(model.test_cfg.get('text', {}), max_length=5)


def train_and_predict(model: VisionLLM, images: torch.Tensor, samples: SampleList) -> SampleList:
    """Losses, gradients and predictions of a batch; all numbers must be finite."""
    losses = model.train().loss(images, samples)
    losses = {name: sum(value) if isinstance(value, list) else value for name, value in losses.items()}
    assert losses and all(loss.isfinite() for loss in losses.values()), losses
    model.zero_grad()
    sum(losses.values()).backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients and all(gradient.isfinite().all() for gradient in gradients)
    with torch.no_grad():
        return model.eval().predict(images, samples)


def run(config: str) -> None:
    """Trains and predicts objects, then text; $LLM and $BERT are folders."""
    torch.manual_seed(0)
    init_default_scope('mmdet')
    cfg = Config.fromfile(config)
    shrink(cfg.model)
    model = MODELS.build(cfg.model)
    assert type(model.task_decoder.hints) is NoHints
    for found in train_and_predict(model, *batch([2, 1])):
        objects = found.pred_instances
        assert len(objects) > 0 and objects.bboxes.isfinite().all() and objects.scores.isfinite().all()
    images, samples = batch([2, 1])
    ask_for_text(samples, ['a star', 'two rings'])
    assert all(isinstance(found.pred_text, str) for found in train_and_predict(model, images, samples))
