"""Polygons that point queries predict by themselves, before the LLM reads them."""

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope

from tests.helpers.tiny import NAMES, ask_for_text, batch, model_config
from visionllm_mm.models import VisionLLM


def _build(point_places: bool = True) -> VisionLLM:
    cfg = model_config().model
    cfg.hints = dict(type='SmallLLMHints', point_places=point_places)
    cfg.auxiliary.polygons = dict(type='QueryPolygonLoss', loss=cfg.criterion.loss_location)
    init_default_scope('mmdet')
    return MODELS.build(cfg).train()


def test_polygons_are_learned_by_matched_and_by_denoising_tokens():
    model = _build()
    images, samples = batch([2, 1, 0])
    without = model.loss(images, samples)
    for sample, count in zip(samples, (8, 24, 9), strict=True):
        sample.gt_instances.polygons = torch.rand(len(sample.gt_instances), count, 2) * 64
    losses = model.loss(images, samples)
    assert set(losses) - set(without) == {'loss_outline', 'dn.loss_outline'}
    losses['loss_outline'].backward(retain_graph=True)
    assert model.task_decoder.hints.point_places.polygon.weight.grad.any()
    assert model.image_tokenizer.query_position.weight.grad.any()
    assert all(p.grad is None for p in model.task_decoder.llm.base.model.layers.parameters())
    # A text is learned with the same polygons.
    for sample in samples:
        sample.set_metainfo(dict(object_names=NAMES))
    ask_for_text(samples, ['a star'] * 3)
    losses_of_text = model.loss(images, samples)
    assert {'loss_words', 'loss_outline', 'dn.loss_outline'} <= set(losses_of_text)


def test_batches_without_an_object_have_polygons_of_nothing():
    model = _build()
    images, samples = batch([0, 0])
    for sample in samples:
        sample.gt_instances.polygons = torch.zeros(0, 9, 2)
    losses = model.loss(images, samples)
    assert losses['loss_outline'] == 0 and losses['dn.loss_outline'] == 0
    sum(value for value in losses.values() if isinstance(value, torch.Tensor)).backward()
    assert not model.task_decoder.hints.point_places.polygon.weight.grad.any()


def test_polygons_need_the_places_of_points():
    with pytest.raises(ValueError, match='QueryPolygonLoss needs .*point_places=True'):
        _build(point_places=False)
