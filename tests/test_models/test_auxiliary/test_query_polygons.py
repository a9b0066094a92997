"""Outlines that point queries say by themselves, before the LLM reads them."""

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope

from tests.helpers.tiny import NAMES, ask_for_text, batch, model_config
from visionllm_mm.models import VisionLLM


def _build(place_points: bool = True) -> VisionLLM:
    cfg = model_config().model
    cfg.task_decoder = dict(place_points=place_points)
    cfg.criterion.loss_outline = cfg.criterion.loss_location
    init_default_scope('mmdet')
    return MODELS.build(cfg).train()


def test_outlines_are_learnt_by_matched_and_by_denoising_tokens():
    model = _build()
    images, samples = batch([2, 1, 0])
    without = model.loss(images, samples)
    for sample, count in zip(samples, (8, 24, 9), strict=True):
        sample.gt_instances.outlines = torch.rand(len(sample.gt_instances), count, 2) * 64
    losses = model.loss(images, samples)
    assert set(losses) - set(without) == {'loss_outline', 'dn.loss_outline'}
    losses['loss_outline'].backward(retain_graph=True)
    assert model.task_decoder.point_places.outline.weight.grad.any()
    assert model.image_tokenizer.query_position.weight.grad.any()
    assert all(p.grad is None for p in model.task_decoder.llm.base.model.layers.parameters())
    # Words are answered with the same outlines behind them.
    for sample in samples:
        sample.set_metainfo(dict(object_names=NAMES))
    ask_for_text(samples, ['a star'] * 3)
    said = model.loss(images, samples)
    assert {'loss_words', 'loss_outline', 'dn.loss_outline'} <= set(said)


def test_batches_without_an_object_have_outlines_of_nothing():
    model = _build()
    images, samples = batch([0, 0])
    for sample in samples:
        sample.gt_instances.outlines = torch.zeros(0, 9, 2)
    losses = model.loss(images, samples)
    assert losses['loss_outline'] == 0 and losses['dn.loss_outline'] == 0
    sum(value for value in losses.values() if isinstance(value, torch.Tensor)).backward()
    assert not model.task_decoder.point_places.outline.weight.grad.any()


def test_outlines_need_places_of_points():
    with pytest.raises(ValueError, match='loss_outline needs task_decoder.place_points=True'):
        _build(place_points=False)
