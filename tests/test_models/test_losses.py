"""Losses against plain forms, and at their limits."""

import pytest
import torch
from torch.nn import functional as F

from visionllm_mm.models import AlignmentLoss, ClassTokenLoss, LocationTokenLoss
from visionllm_mm.models.layers.location_codec import encode_soft_targets


@pytest.mark.parametrize('none_weight', [0.1, 1.0])
def test_class_loss_is_weighted_cross_entropy(none_weight):
    torch.manual_seed(0)
    logits, targets = torch.randn(3, 6, 5), torch.randint(0, 5, (3, 6))
    total, weight = ClassTokenLoss(loss_weight=2.0, none_weight=none_weight)(logits, targets)
    weights = torch.tensor([1.0, 1.0, 1.0, 1.0, none_weight])
    torch.testing.assert_close(total, 2 * F.cross_entropy(logits.mT, targets, weight=weights, reduction='sum'))
    torch.testing.assert_close(weight, weights[targets].sum())


def test_class_loss_counts_distracted_tokens_in_full():
    torch.manual_seed(0)
    logits, targets = torch.randn(1, 3, 5), torch.tensor([[4, 4, 1]])
    total, weight = ClassTokenLoss()(logits, targets, torch.tensor([[False, True, True]]))
    terms = F.cross_entropy(logits[0], targets[0], reduction='none')
    torch.testing.assert_close(total, 0.1 * terms[0] + terms[1] + terms[2])
    torch.testing.assert_close(weight, torch.tensor(2.1))


def test_class_loss_with_missing_classes_equals_the_smaller_set():
    """Columns of classes that an instruction does not list have the lowest logit and count for nothing."""
    torch.manual_seed(0)
    logits = torch.randn(1, 4, 3)
    wide = torch.cat([logits[..., :2], torch.full((1, 4, 2), torch.finfo().min), logits[..., 2:]], dim=-1)
    wide.requires_grad_()
    targets = torch.tensor([[0, 1, 2, 2]])
    total, _ = ClassTokenLoss()(wide, torch.where(targets == 2, 4, targets))
    torch.testing.assert_close(total, ClassTokenLoss()(logits, targets)[0])
    total.backward()
    assert wide.grad.isfinite().all() and wide.grad[..., 2:4].abs().max() == 0


@pytest.mark.parametrize('sigma', [0.0, 1.0, 2.5])
def test_location_loss_is_cross_entropy_with_its_targets(sigma):
    torch.manual_seed(0)
    logits, offsets = torch.randn(2, 3, 4, 2, 17), torch.rand(2, 3, 4, 2) * 2 - 1
    valid = torch.rand(2, 3, 4, 2) < 0.5
    targets = encode_soft_targets(offsets, 8, sigma)
    expected = F.cross_entropy(logits[valid], targets[valid], reduction='sum')
    torch.testing.assert_close(LocationTokenLoss(loss_weight=3.0, sigma=sigma)(logits, offsets, valid), 3 * expected)


def test_location_loss_adds_the_error_of_the_expected_offset():
    torch.manual_seed(0)
    logits, offsets, valid = torch.randn(2, 3, 17), torch.rand(2, 3) * 2.4 - 1.2, torch.rand(2, 3) < 0.5
    without, with_error = (LocationTokenLoss(error_weight=w)(logits, offsets, valid) for w in (0.0, 5.0))
    expected = (logits.softmax(dim=-1) * torch.linspace(-1, 1, 17)).sum(dim=-1)
    errors = (expected - offsets.clamp(-1, 1)).abs()[valid].sum()
    torch.testing.assert_close(with_error - without, 5 * errors)


def test_location_loss_has_no_gradient_where_nothing_is_asked():
    logits = torch.randn(2, 3, 9, requires_grad=True)
    valid = torch.tensor([[True, False, False], [False, True, False]])
    LocationTokenLoss()(logits, torch.zeros(2, 3), valid).backward()
    assert ((logits.grad.abs().sum(dim=-1) > 0) == valid).all()


def test_location_loss_is_least_at_its_target():
    offsets, valid = torch.tensor([0.3]), torch.tensor([True])
    best = encode_soft_targets(offsets, 8, 1.0).log().requires_grad_()
    loss = LocationTokenLoss(sigma=1.0)(best, offsets, valid)
    loss.backward()
    torch.testing.assert_close(loss.detach(), -(best.exp() * best).sum().detach())
    assert best.grad.abs().max() < 1e-6


def _alignment_by_loop(contents, names, name_valid, targets, valid, scale):
    total = torch.zeros(())
    for b in range(len(contents)):
        listed = names[b][name_valid[b]]
        for i in range(contents.shape[1]):
            if valid[b, i]:
                cosines = torch.stack([F.cosine_similarity(contents[b, i], name, dim=0) for name in listed])
                total = total - F.log_softmax(scale * cosines, dim=0)[targets[b, i]]
    return total


def test_alignment_loss_against_a_loop():
    torch.manual_seed(0)
    contents, names = torch.randn(3, 4, 8), torch.randn(3, 5, 8)
    name_valid = torch.arange(5) < torch.tensor([5, 2, 1])[:, None]
    targets = torch.tensor([[4, 0, 2, 3], [1, 0, 1, 0], [0, 0, 0, 0]])
    valid = torch.tensor([[True, True, False, True], [True, False, False, False], [False] * 4])
    found = AlignmentLoss(scale=7.0)(contents, names, name_valid, targets, valid)
    torch.testing.assert_close(found, _alignment_by_loop(contents, names, name_valid, targets, valid, 7.0))


def test_alignment_loss_depends_on_directions_alone():
    torch.manual_seed(0)
    contents, names = torch.randn(1, 3, 8), torch.randn(1, 4, 8)
    rest = torch.ones(1, 4, dtype=torch.bool), torch.tensor([[0, 3, 1]]), torch.ones(1, 3, dtype=torch.bool)
    torch.testing.assert_close(AlignmentLoss()(100 * contents, names, *rest), AlignmentLoss()(contents, names, *rest))
    aligned = names[:, [0, 3, 1]]
    assert AlignmentLoss()(aligned, names, *rest) < AlignmentLoss()(contents, names, *rest)


def test_alignment_loss_of_nothing_is_zero_with_a_gradient():
    contents = torch.zeros(2, 1, 8, requires_grad=True)
    loss = AlignmentLoss()(
        contents,
        torch.randn(2, 3, 8),
        torch.ones(2, 3, dtype=torch.bool),
        torch.zeros(2, 1, dtype=torch.long),
        torch.zeros(2, 1, dtype=torch.bool),
    )
    loss.backward()
    assert loss == 0 and contents.grad.isfinite().all()
