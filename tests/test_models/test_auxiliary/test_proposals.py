"""Losses of the encoder's proposals."""

from types import SimpleNamespace

import pytest
import torch
from mmdet.registry import MODELS
from torch.nn import functional as F

from tests.helpers.tiny import batch, build_model, model_config
from visionllm_mm.models import VisionLLM
from visionllm_mm.structures import ImageTokens, NameSets, Proposals, SetTargets, TrainStep

SIZE = torch.tensor([128.0, 64.0])
NO_DISTRACTORS = torch.zeros(0, 2, 2)


@pytest.fixture(scope='module')
def model() -> VisionLLM:
    return build_model()


def _proposals(targets):
    """Proposals on a grid of 8 px, 8 rows of 16, and one of 16 px."""
    levels = []
    for stride in (8, 16):
        y, x = torch.meshgrid(torch.arange(64 // stride), torch.arange(128 // stride), indexing='ij')
        levels.append(torch.stack([(x + 0.5) * stride, (y + 0.5) * stride, torch.full(x.shape, stride)], dim=2))
    priors = torch.cat([level.flatten(0, 1) for level in levels]).float().expand(len(targets), -1, -1)
    count = priors.shape[1]
    return Proposals(
        embeddings=torch.randn(len(targets), count, 8),
        centers_norm=priors[..., :2] / SIZE,
        sizes_norm=torch.full((len(targets), count, 2), 0.25),
        objectness=torch.zeros(len(targets), count),
        priors=priors,
    )


def test_the_nearest_positions_see_an_object(model):
    small = [[20.0, 20.0], [44.0, 44.0]]
    large = [[64.0, 0.0], [128.0, 64.0]]
    target = SetTargets(torch.tensor([1, 0]), torch.tensor([small, large]) / SIZE, SIZE, NO_DISTRACTORS)
    empty = SetTargets(torch.zeros(0, dtype=torch.long), torch.zeros(0, 2, 2), SIZE, NO_DISTRACTORS)
    proposals = _proposals([target, empty])
    matches = model.auxiliary['proposals'].match(proposals, [target, empty])
    assert matches.valid.sum(dim=1).tolist() == [6, 0]  # pos_num = 3 each
    priors = proposals.priors[0][matches.tokens[0]]
    for center, stride, index in (((32.0, 32.0), 8, 1), ((96.0, 32.0), 16, 0)):
        mine = priors[matches.class_index[0] == index]
        assert len(mine) == 3 and (mine[:, 2] == stride).all()
        assert ((mine[:, :2] - torch.tensor(center)).abs() < 2 * stride).all()


def test_losses_by_hand(model):
    target = SetTargets(torch.tensor([0]), torch.tensor([[[0.25, 0.25], [0.5, 0.75]]]), SIZE, NO_DISTRACTORS)
    proposals, loss, criterion = _proposals([target]), model.auxiliary['proposals'], model.criterion
    matches = loss.match(proposals, [target])
    names = torch.eye(8)[None, :2]
    # Whatever is projected has the direction of the first name.
    projector = SimpleNamespace(project_content=lambda found: names[:, :1].expand_as(found))
    parts = SimpleNamespace(criterion=criterion, task_decoder=SimpleNamespace(projector=projector))
    step = TrainStep(
        samples=[],
        instructions=[],
        targets=[target],
        tokens=ImageTokens(*torch.zeros(3, 1, 1, 1), proposals=proposals),
        names=NameSets(names, torch.ones(1, 2, dtype=torch.bool)),
        matches=matches,
    )
    losses = loss(parts, step)
    assert set(losses) == {f'enc.loss_{name}' for name in ('objectness', 'center', 'size', 'iou', 'alignment')}
    distance = (proposals.centers_norm[0, matches.tokens[0]] - torch.tensor([0.375, 0.5])).abs().sum(dim=1).mean()
    torch.testing.assert_close(losses['enc.loss_center'], criterion.loss_center.loss_weight * distance)
    # All proposals are a quarter of the image wide and high; the object is 0.25 x 0.5.
    torch.testing.assert_close(losses['enc.loss_size'], torch.tensor(criterion.loss_size.loss_weight * 0.25))
    expected = F.cross_entropy(torch.tensor([[10.0, 0.0]]), torch.tensor([0]))
    torch.testing.assert_close(losses['enc.loss_alignment'], expected)


def test_text_about_unknown_objects_teaches_no_proposals(model):
    assert model.auxiliary['proposals'](model, TrainStep(samples=[], instructions=[])) == {}


def test_a_tokenizer_of_one_stage_is_refused():
    cfg = model_config().model
    cfg.image_tokenizer.as_two_stage = False
    cfg.auxiliary.denoising = None
    with pytest.raises(ValueError, match='ProposalLoss needs image_tokenizer.as_two_stage=True'):
        MODELS.build(cfg)


def test_losses_are_switched_off_in_a_config():
    cfg = model_config().model
    cfg.auxiliary = dict(proposals=None, denoising=None)
    assert not [name for name in MODELS.build(cfg).train().loss(*batch([1])) if name.startswith(('enc.', 'dn.'))]
