"""Tokens that start near the true objects, and their losses."""

from types import SimpleNamespace

import pytest
import torch
from mmdet.registry import MODELS
from torch.nn import functional as F

from tests.helpers.tiny import batch, build_model, model_config
from visionllm_mm.models import Denoising
from visionllm_mm.models.auxiliary.denoising import match_noisy, noisy_boxes
from visionllm_mm.structures import ImageTokens, NameSets, SetTargets, TrainStep

SIZE = torch.tensor([128.0, 64.0])
NO_DISTRACTORS = torch.zeros(0, 2, 2)


def _boxes(*corners):
    return torch.tensor(corners).reshape(-1, 2, 2)


def _target(**more):
    """One object, and one that the instruction does not ask for."""
    return SetTargets(torch.tensor([1]), _boxes([0.2, 0.3, 0.6, 0.5]), SIZE, _boxes([0.7, 0.7, 0.9, 0.9]), **more)


def test_noisy_boxes_stay_near_their_objects():
    target = _target()
    empty = SetTargets(torch.zeros(0, dtype=torch.long), torch.zeros(0, 2, 2), SIZE, NO_DISTRACTORS)
    noisy = noisy_boxes([target, empty], [7, None], copies=50, noise=0.4)
    assert noisy.boxes_cxcywh.shape == (2, 100, 4) and noisy.valid.sum(dim=1).tolist() == [100, 0]
    boxes = target.all_boxes_norm
    for k, (low, high) in enumerate(boxes):
        mine = noisy.boxes_cxcywh[0][noisy.objects[0] == k]
        moved = torch.stack([mine[:, :2] - mine[:, 2:] / 2 - low, mine[:, :2] + mine[:, 2:] / 2 - high])
        limit = 0.4 * (high - low) / 2
        assert len(mine) == 50 and (moved.abs() <= limit + 1e-5).all() and (moved.abs() > 0.8 * limit).any()
    again = noisy_boxes([empty, target], [None, 7], copies=50, noise=0.4)
    torch.testing.assert_close(again.boxes_cxcywh[1], noisy.boxes_cxcywh[0])
    assert noisy_boxes([empty], [None], copies=2, noise=0.4).valid.tolist() == [[False]]


def test_losses_by_hand():
    model, target = build_model(), _target()
    generator = torch.Generator().manual_seed(0)
    tokens = ImageTokens(
        embeddings=torch.randn(2, 1, 2, 8, generator=generator),
        centers_norm=torch.rand(2, 1, 2, 2, generator=generator),
        objectness=torch.randn(2, 1, 2, generator=generator),
        sizes_norm=torch.rand(2, 1, 2, 2, generator=generator),
    )
    names = torch.eye(8)[None, :2]
    content = torch.stack([names[:, [1, 0]], names[:, [0, 0]]])
    step = TrainStep(
        samples=[],
        instructions=[],
        targets=[target],
        noisy_boxes=noisy_boxes([target], [0], copies=1, noise=0.5),
        tokens=ImageTokens(*torch.zeros(3, 1, 1, 1), extra=tokens),
        names=NameSets(names, torch.ones(1, 2, dtype=torch.bool)),
    )
    parts = SimpleNamespace(criterion=model.criterion, project=lambda _: (content, content[-1]), auxiliary={})
    losses = model.auxiliary['denoising'](parts, step)
    assert set(losses) == {
        f'dn.{layer}{name}'
        for layer in ('', 'd0.')
        for name in ('loss_center', 'loss_size', 'loss_iou', 'loss_alignment')
    }
    true_centers = torch.tensor([[0.4, 0.4], [0.8, 0.8]])
    distance = (tokens.centers_norm[1, 0] - true_centers).abs().sum(dim=1).mean()
    torch.testing.assert_close(losses['dn.loss_center'], 5 * distance)
    # Only the first object has a name; its token is named rightly by the inner layer alone.
    right, wrong = (F.cross_entropy(torch.tensor([[10.0, 0.0]]), torch.tensor([k])) for k in (0, 1))
    torch.testing.assert_close(losses['dn.d0.loss_alignment'], right)
    torch.testing.assert_close(losses['dn.loss_alignment'], wrong)


def test_extra_tokens_have_the_polygon_of_their_object():
    polygons = torch.rand(2, 8, 2)
    polygons[1, 5:] = torch.nan
    target = _target(polygons_norm=polygons)
    noisy = noisy_boxes([target], [0], copies=2, noise=0.5)
    matches = match_noisy(noisy, [target])
    torch.testing.assert_close(matches.polygons_norm[0], polygons[noisy.objects[0]].nan_to_num())
    assert matches.polygon_valid[0].sum(dim=1).tolist() == [8, 5, 8, 5]


def _losses(model, images, samples):
    return {name: float(loss.detach()) for name, loss in model.loss(images, samples).items()}


def test_noise_depends_on_the_sample_alone():
    model = build_model().eval()
    model.auxiliary['denoising'] = Denoising(copies=2, noise=0.5)
    images, samples = batch([2, 1])
    for seed, sample in enumerate(samples):
        sample.set_metainfo(dict(noise_seed=seed))
    first, second = _losses(model, images, samples), _losses(model, images.flip(0), samples[::-1])
    assert first == pytest.approx(second, rel=1e-4) and 'dn.loss_iou' in first


def test_text_about_unknown_objects_has_no_extra_tokens():
    model, step = build_model(), TrainStep(samples=[], instructions=[])
    model.auxiliary['denoising'].prepare(step)
    assert step.noisy_boxes is None and model.auxiliary['denoising'](model, step) == {}


def test_a_tokenizer_of_one_stage_is_refused():
    cfg = model_config().model
    cfg.image_tokenizer.as_two_stage = False
    cfg.auxiliary.proposals = None
    with pytest.raises(ValueError, match='Denoising needs image_tokenizer.as_two_stage=True'):
        MODELS.build(cfg)
