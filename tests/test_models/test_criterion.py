"""Matching and losses of a batch."""

import pytest
import torch
from torch.nn import functional as F

from tests.helpers.tiny import batch, build_model
from visionllm_mm.instructions import GROUNDING_TEMPLATES, Vocabulary, build_instruction, point_format
from visionllm_mm.models.criterion import SetCriterion
from visionllm_mm.models.targets import set_targets
from visionllm_mm.structures import ImageTokens, SetTargets

SIZE = torch.tensor([128.0, 64.0])
NO_DISTRACTORS = torch.zeros(0, 2, 2)


@pytest.fixture(scope='module')
def criterion() -> SetCriterion:
    return build_model().criterion


def _tokens(num_images=2, num_tokens=5, layers=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    tokens = ImageTokens(
        torch.randn(layers, num_images, num_tokens, 8, generator=generator),
        torch.rand(layers, num_images, num_tokens, 2, generator=generator),
        torch.randn(layers, num_images, num_tokens, generator=generator),
    )
    return tokens, torch.randn(num_images, num_tokens, 4, generator=generator)


def _target(count, num_points=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return SetTargets(
        torch.randint(0, 3, (count,), generator=generator),
        torch.rand(count, num_points, 2, generator=generator),
        SIZE,
        NO_DISTRACTORS,
    )


def test_center_is_the_middle_of_the_points_box():
    target = SetTargets(torch.tensor([0]), torch.tensor([[[0.1, 0.8], [0.3, 0.2], [0.5, 0.3]]]), SIZE, NO_DISTRACTORS)
    torch.testing.assert_close(target.centers_norm, torch.tensor([[0.3, 0.5]]))


def test_boxes_are_the_objects_own_where_points_do_not_reach_them():
    points, box = torch.tensor([[[0.4, 0.4], [0.5, 0.5], [0.4, 0.5]]]), torch.tensor([[[0.2, 0.4], [0.6, 0.8]]])
    target = SetTargets(torch.tensor([0]), points, SIZE, NO_DISTRACTORS, box)
    torch.testing.assert_close(target.centers_norm, torch.tensor([[0.4, 0.6]]))
    torch.testing.assert_close(target.sizes_norm, torch.tensor([[0.4, 0.4]]))
    torch.testing.assert_close(target.boxes_xyxy, torch.tensor([[25.6, 25.6, 76.8, 51.2]]))


def test_matches_carry_what_their_object_has(criterion):
    tokens, logits = _tokens()
    targets = [_target(3), _target(1, seed=1)]
    matches = criterion.match(tokens, targets, logits)
    assert matches.valid.tolist() == [[True] * 3, [True, False, False]]
    for i, target in enumerate(targets):
        valid = matches.valid[i]
        assert len(set(matches.tokens[i][valid].tolist())) == len(target)
        order = [
            (target.points_norm - points).abs().sum((1, 2)).argmin().item() for points in matches.points_norm[i][valid]
        ]
        assert sorted(order) == list(range(len(target))) and matches.objects[i][valid].tolist() == order
        assert matches.slots(targets)[i][order].tolist() == matches.tokens[i][valid].tolist()
        torch.testing.assert_close(matches.class_index[i][valid], target.class_index[order])
        torch.testing.assert_close(matches.centers_norm[i][valid], target.centers_norm[order])


def test_size_losses_by_hand(criterion):
    tokens, logits = _tokens(num_images=1)
    tokens.sizes_norm = torch.rand_like(tokens.centers_norm)
    target = SetTargets(torch.tensor([1]), torch.tensor([[[0.2, 0.3], [0.6, 0.5]]]), SIZE, NO_DISTRACTORS)
    matches = criterion.match(tokens, [target], logits)
    token = matches.tokens[0, 0]
    losses = criterion.token_losses(tokens, matches)
    for layer, prefix in ((1, ''), (0, 'd0.')):
        center, size = tokens.centers_norm[layer, 0, token], tokens.sizes_norm[layer, 0, token]
        distance = (size - torch.tensor([0.4, 0.2])).abs().sum()
        torch.testing.assert_close(losses[f'{prefix}loss_size'], 5 * distance)
        low, high = center - size / 2, center + size / 2
        true_low, true_high = torch.tensor([0.2, 0.3]), torch.tensor([0.6, 0.5])
        shared = (torch.minimum(high, true_high) - torch.maximum(low, true_low)).clamp(min=0).prod()
        union = size.prod() + 0.4 * 0.2 - shared
        hull = (torch.maximum(high, true_high) - torch.minimum(low, true_low)).prod()
        torch.testing.assert_close(losses[f'{prefix}loss_iou'], 2 * (1 - shared / union + (hull - union) / hull))


def test_points_without_a_label_are_no_targets(criterion):
    points = torch.tensor([[[0.2, 0.4], [torch.nan, torch.nan], [0.6, 0.2]], [[0.8, 0.8], [0.9, 0.9], [1.0, 1.0]]])
    target = SetTargets(torch.tensor([0, 1]), points, SIZE, NO_DISTRACTORS)
    torch.testing.assert_close(target.centers_norm, torch.tensor([[0.4, 0.3], [0.9, 0.9]]))
    tokens, logits = _tokens(num_images=1)
    matches = criterion.match(tokens, [target], logits)
    assert sorted(matches.point_valid[0].tolist()) == [[True, False, True], [True, True, True]]
    assert matches.points_norm.isfinite().all()


def test_more_objects_than_tokens_fill_the_tokens(criterion):
    tokens, logits = _tokens()
    targets = [_target(9), _target(0)]
    matches = criterion.match(tokens, targets, logits)
    assert sorted(matches.tokens[0].tolist()) == list(range(5))
    assert not matches.valid[1].any()
    slots = matches.slots(targets)
    assert sorted(slots[0].tolist()) == [-1] * 4 + list(range(5)) and not len(slots[1])


def test_no_object_at_all_leaves_one_padded_match(criterion):
    tokens, logits = _tokens()
    matches = criterion.match(tokens, [_target(0), _target(0)], logits)
    assert matches.tokens.shape == (2, 1) and not matches.valid.any() and not matches.point_valid.any()


def test_formats_of_different_length_share_a_batch(criterion):
    tokens, logits = _tokens()
    matches = criterion.match(tokens, [_target(2, num_points=2), _target(1, num_points=6)], logits)
    assert matches.points_norm.shape == (2, 2, 6, 2)
    assert matches.point_valid.sum(dim=2).tolist() == [[2, 2], [6, 0]]


def test_token_losses_against_plain_sums(criterion):
    """Focal loss of all tokens and L1 of the matched ones, both over the number of matches."""
    tokens, logits = _tokens()
    targets = [_target(3), _target(1, seed=1)]
    matches = criterion.match(tokens, targets, logits)
    losses = criterion.token_losses(tokens, matches)
    assert losses.keys() == {'loss_objectness', 'd0.loss_objectness', 'loss_center', 'd0.loss_center'}
    for layer, prefix in ((1, ''), (0, 'd0.')):
        focal, distance = 0.0, 0.0
        for i in range(2):
            matched = matches.tokens[i][matches.valid[i]].tolist()
            for t in range(5):
                p = tokens.objectness[layer, i, t].sigmoid()
                focal -= 0.25 * (1 - p) ** 2 * p.log() if t in matched else 0.75 * p**2 * (1 - p).log()
            for k, t in enumerate(matched):
                distance += (tokens.centers_norm[layer, i, t] - matches.centers_norm[i, k]).abs().sum()
        torch.testing.assert_close(losses[f'{prefix}loss_objectness'], 2 * focal / 4)
        torch.testing.assert_close(losses[f'{prefix}loss_center'], 5 * distance / 4)


def _read(model, images, samples):
    """A step of the model, what its task decoder has read, and the class logits."""
    step = model.read(images, samples)
    state = model.task_decoder.read(step.instructions, step.inputs)
    return step, state, model.task_decoder.class_logits(state)


def _losses(model, images, samples):
    return {name: float(loss.detach()) for name, loss in model.loss(images, samples).items()}


def test_losses_have_names_for_every_layer():
    model = build_model().train()
    names = set(_losses(model, *batch([1, 2])))
    inner = {'loss_objectness', 'loss_center', 'loss_size', 'loss_iou', 'loss_alignment'}
    everywhere = {f'{prefix}{name}' for prefix in ('', 'd0.', 'enc.') for name in inner}
    everywhere |= {f'dn.{layer}{name}' for layer in ('', 'd0.') for name in inner - {'loss_objectness'}}
    assert names == everywhere | {'loss_class', 'loss_location'}


def test_class_and_location_losses_against_the_models_own_answers():
    model = build_model().eval()
    for head in model.image_tokenizer.place_heads:  # as they start, all layers have the same centres
        torch.nn.init.normal_(head[-1].weight, std=0.3)
    images, samples = batch([2, 1])
    losses = _losses(model, images, samples)
    with torch.no_grad():
        step, state, logits = _read(model, images, samples)
        tokens = step.tokens
        matches = model.criterion.match(tokens, set_targets(samples), logits)
        points = model.task_decoder.point_logits(state, matches.tokens, 2)
    targets = torch.full(logits.shape[:2], logits.shape[2] - 1)
    location, count = 0.0, 0
    for i, k in matches.valid.nonzero().tolist():
        token = matches.tokens[i, k]
        targets[i, token] = matches.class_index[i, k]
        offsets = matches.points_norm[i, k] - tokens.centers_norm[-1, i, token]
        exact = (offsets.clamp(-1, 1) + 1) * 64
        soft = (-0.5 * ((torch.arange(129) - exact[..., None]) / 0.5) ** 2).softmax(dim=-1)
        location += float(F.cross_entropy(points[i, k].flatten(0, 1), soft.flatten(0, 1), reduction='sum'))
        expected = (points[i, k].softmax(dim=-1) * torch.linspace(-1, 1, 129)).sum(dim=-1)
        location += 20 * float((expected - offsets).abs().sum())
        count += 4
    weight = torch.tensor([1.0] * (logits.shape[2] - 1) + [0.1])
    assert losses['loss_class'] == pytest.approx(float(F.cross_entropy(logits.mT, targets, weight=weight)), rel=1e-4)
    assert losses['loss_location'] == pytest.approx(location / count, rel=1e-4)


def test_an_image_without_objects_leaves_the_losses_of_matches_alone():
    """It adds only no-object answers and objectness of the background."""
    model = build_model().eval()
    images, samples = batch([2, 0])
    both, alone = _losses(model, images, samples), _losses(model, images[:1], samples[:1])
    matched = [name for name in both if name.endswith(('loss_center', 'loss_location', 'loss_alignment'))]
    assert {name: both[name] for name in matched} == pytest.approx({name: alone[name] for name in matched}, rel=1e-4)
    assert both['loss_objectness'] > alone['loss_objectness']
    assert both['loss_class'] != pytest.approx(alone['loss_class'], rel=1e-4)


def test_doubled_batch_has_the_same_losses():
    model = build_model().eval()
    images, samples = batch([2, 1])
    once, twice = _losses(model, images, samples), _losses(model, images.repeat(2, 1, 1, 1), samples * 2)
    assert twice == pytest.approx(once, rel=1e-4)


def test_objects_not_asked_for_are_no_targets_but_distract():
    """No-object answers count in full where the centre of a token is on such an object."""
    model = build_model().eval()
    images, samples = batch([2])
    whole, everything = set_targets(samples)[0], samples[0].gt_instances
    everything.labels[1] = -1
    target = set_targets(samples)[0]
    assert target.class_index.tolist() == whole.class_index.tolist()[:1]
    torch.testing.assert_close(target.distractors_norm, whole.points_norm[1:])
    with torch.no_grad():
        step, _, logits = _read(model, images, samples)
        tokens = step.tokens
        matches = model.criterion.match(tokens, [target], logits)
    labels = torch.full((20,), logits.shape[2] - 1)
    labels[matches.tokens[0]] = matches.class_index[0]
    (left, top), (right, bottom) = everything.points[1].tolist()
    weights = [
        1.0 if label < logits.shape[2] - 1 or (left <= x <= right and top <= y <= bottom) else 0.1
        for (x, y), label in zip((tokens.centers_norm[-1, 0] * 64).tolist(), labels, strict=True)
    ]
    assert 1.1 < sum(weights) < 19
    terms = F.cross_entropy(logits[0], labels, reduction='none') * torch.tensor(weights)
    assert _losses(model, images, samples)['loss_class'] == pytest.approx(float(terms.sum() / sum(weights)), rel=1e-4)


def test_known_objects_have_tokens_whether_asked_for_or_not():
    """Of three objects an expression means the second; all are described, and two are answered with no-object."""
    model = build_model().eval()
    images, samples = batch(
        [3], text=build_instruction(GROUNDING_TEMPLATES[0], ['the star'], point_format(2), Vocabulary(64, 64, 24))
    )
    known = samples[0].gt_instances
    known.object_labels, known.labels = torch.tensor([2, 0, 1]), torch.tensor([-1, 0, -1])
    samples[0].set_metainfo(dict(object_names=['star', 'ring', 'heart']))
    target = set_targets(samples)[0]
    assert target.class_index.tolist() == [2, 0, 1] and len(target.distractors_norm) == 0
    torch.testing.assert_close(target.distractor_boxes, known.points[[0, 2]] / 64)
    with torch.no_grad():
        step, _, logits = _read(model, images, samples)
        tokens, content = step.tokens, step.content
        matches = model.criterion.match(tokens, [target], logits)
    assert matches.target_class[0][matches.class_index[0] == 0].tolist() == [0]
    labels = torch.ones(20, dtype=torch.long)
    labels[matches.tokens[0][matches.class_index[0] == 0]] = 0
    inside = [
        any((low <= center).all() and (center <= high).all() for low, high in target.distractor_boxes)
        for center in tokens.centers_norm[-1, 0]
    ]
    weights = torch.where((labels == 0) | torch.tensor(inside), 1.0, 0.1)
    losses = _losses(model, images, samples)
    terms = F.cross_entropy(logits[0], labels, reduction='none') * weights
    assert losses['loss_class'] == pytest.approx(float(terms.sum() / weights.sum()), rel=1e-4)
    names = model.task_decoder.prefix_builder.embed_names([['star', 'ring', 'heart']])
    similarity = 10 * F.cosine_similarity(content[-1, 0, matches.tokens[0], None], names.name_embeddings, dim=-1)
    expected = F.cross_entropy(similarity, matches.class_index[0])
    assert losses['loss_alignment'] == pytest.approx(float(expected.detach()), rel=1e-4)


def test_alignment_loss_can_be_left_out():
    model = build_model().train()
    model.criterion.loss_alignment = None
    assert not [name for name in _losses(model, *batch([1])) if 'alignment' in name]
