"""The detector as mmdet and its Runner see it."""

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.optim import OptimWrapper
from pycocotools import mask as coco_mask
from torch.optim import SGD

from tests.helpers.tiny import NAMES, ask_for_text, batch, build_model, model_config
from visionllm_mm.instructions import Vocabulary, build_instruction, point_format
from visionllm_mm.models.one_pass import decode_one_pass
from visionllm_mm.models.postprocess import location_certainty


@pytest.fixture(scope='module')
def model():
    """Weights at which objectness, centres and answers differ from token to token."""
    model = build_model().eval()
    torch.manual_seed(2)
    for head in (*model.image_tokenizer.objectness_heads, *(h[-1] for h in model.image_tokenizer.place_heads)):
        torch.nn.init.normal_(head.weight, std=0.2)
    for layer in model.task_decoder.llm.base.model.layers:  # as they start, all points of a token are alike
        for part in (layer.self_attn.v_proj, layer.self_attn.o_proj):
            torch.nn.init.normal_(part.weight, std=0.06)
    return model


@torch.no_grad()
def _predict(model, images, samples, **kwargs):
    return [sample.pred_instances for sample in model.predict(images, samples, **kwargs)]


def _assert_same(found, expected, atol=1e-4):
    assert len(found) == len(expected) and found.label_names == expected.label_names
    torch.testing.assert_close(found.scores, expected.scores, atol=atol, rtol=1e-4)
    torch.testing.assert_close(found.bboxes, expected.bboxes, atol=atol * 100, rtol=1e-4)


def _instruction(names, num_points=2):
    vocabulary = Vocabulary(num_classes=64, coord_range=64, max_points=24)
    return build_instruction(
        '<image> Give <class> as <format>, range <range>.', names, point_format(num_points), vocabulary
    )


def test_fixture_answers_differ(model):
    result = _predict(model, *batch([1]))[0]
    assert result.scores.std() > 1e-3 and result.bboxes[:, :2].std() > 1 and len(set(result.label_names)) > 1


def test_predictions_have_mmdets_fields(model):
    for i, result in enumerate(_predict(model, *batch([1, 0, 2]))):
        assert set(result.keys()) == {'bboxes', 'scores', 'labels', 'label_names', 'class_tokens', 'offset_bins'}, i
        assert len(result) == 20 * len(NAMES) and result.bboxes.shape == (80, 4)
        assert ((result.scores >= 0) & (result.scores <= 1)).all()
        assert result.labels.min() >= 0 and result.labels.max() < len(NAMES)


def test_predictions_are_the_one_pass_answers(model):
    """The detector's two passes and its selection against one pass over all tokens and plain sorting."""
    images, samples = batch([1, 1], text=_instruction(NAMES))
    found = _predict(model, images, samples)
    with torch.no_grad():
        instructions = model.parse_instructions(samples)
        tokens = model.tokenize(model.extract_feat(images), samples, instructions)
        _, inputs = model.project(tokens)
        logits, points = decode_one_pass(model.task_decoder, instructions, inputs, 2)
    bins = torch.arange(129.0)
    for i, result in enumerate(found):
        scores = logits[i].softmax(dim=-1)[:, :-1] * tokens.objectness[-1, i].sigmoid()[:, None] ** 0.1
        scores = scores * location_certainty(points[i])[:, None] ** 0.5
        order = scores.flatten().argsort(descending=True)
        torch.testing.assert_close(result.scores, scores.flatten()[order], atol=1e-5, rtol=1e-4)
        best = points[i].argmax(dim=-1, keepdim=True)
        near = points[i].masked_fill((bins - best).abs() > 2, -torch.inf).softmax(dim=-1)
        corners = tokens.centers_norm[-1, i][:, None] + (near * bins).sum(dim=-1) / 64 - 1
        corners = corners.clamp(0, 1) * 64
        boxes = torch.cat([corners.amin(dim=1), corners.amax(dim=1)], dim=1)
        assert (result.labels == order % len(NAMES)).float().mean() > 0.95  # near ties may change places
        torch.testing.assert_close(
            result.bboxes.sum(dim=1).sort().values,
            boxes[order // len(NAMES)].sum(dim=1).sort().values,
            atol=1e-2,
            rtol=1e-3,
        )


def test_an_image_is_answered_alike_alone_and_in_a_batch(model):
    images, samples = batch([1, 0, 2])
    together = _predict(model, images, samples)
    for i in range(3):
        _assert_same(_predict(model, images[i : i + 1], samples[i : i + 1])[0], together[i])


def test_images_of_a_batch_may_ask_for_different_sets(model):
    images, samples = batch([1, 1])
    samples[1].set_metainfo(dict(instruction=_instruction(['ring'])))
    together = _predict(model, images, samples)
    assert set(together[1].label_names) == {'ring'} and len(together[1]) == 20
    for i in range(2):
        _assert_same(_predict(model, images[i : i + 1], samples[i : i + 1])[0], together[i])


def test_images_of_a_batch_may_ask_for_different_formats(model):
    images, samples = batch([1, 1])
    samples[0].set_metainfo(dict(instruction=_instruction(NAMES, 2)))
    samples[1].set_metainfo(dict(instruction=_instruction(NAMES, 6)))
    together = _predict(model, images, samples)
    for i in range(2):
        _assert_same(_predict(model, images[i : i + 1], samples[i : i + 1])[0], together[i])


def test_polygons_are_also_masks(model):
    images, samples = batch([1, 1], text=_instruction(NAMES, 6))
    for sample in samples:
        sample.set_metainfo(dict(ori_shape=(32, 128), scale_factor=(0.5, 2.0)))
    for result in _predict(model, images, samples):
        assert result.points.shape == (80, 6, 2) and result.masks.shape == (80, 32, 128)
        assert result.masks.dtype == torch.bool and result.masks.any()
        decoded = coco_mask.decode(result[:3].mask_rles).transpose(2, 0, 1)
        torch.testing.assert_close(torch.from_numpy(decoded.copy()).bool(), result.masks[:3])
        for box, mask, points in zip(result.bboxes, result.masks, result.points, strict=True):
            torch.testing.assert_close(box, torch.cat([points.amin(dim=0), points.amax(dim=0)]))
            rows, columns = mask.nonzero(as_tuple=True)
            if len(rows):  # a pixel counts where its middle is inside
                assert box[0] - 1 <= columns.min() and columns.max() <= box[2] + 1
                assert box[1] - 1 <= rows.min() and rows.max() <= box[3] + 1
    assert _predict(model, images, samples, rescale=False)[0].masks.shape == (80, 64, 64)


def test_tokens_are_in_the_range_that_is_asked_for(model):
    images, samples = batch([1, 1], text=_instruction(NAMES))
    samples[1].set_metainfo(dict(instruction=samples[1].instruction.replace('range 64', 'range 16')))
    images[1] = images[0]
    for sample in samples:
        result = _predict(model, images[:1], [sample])[0]
        coord_range = 16 if 'range 16' in sample.instruction else 64
        assert result.offset_bins.abs().max() <= coord_range
        # Where no corner lies outside, the corners differ as the tokens do, within the window of the expectation.
        inside = ((result.bboxes > 0.5) & (result.bboxes < 63.5)).all(dim=1)
        assert inside.any()
        sides = (result.bboxes[:, 2:] - result.bboxes[:, :2])[inside] / 64
        by_tokens = (result.offset_bins[:, 1] - result.offset_bins[:, 0]).abs()[inside] / coord_range
        torch.testing.assert_close(by_tokens, sides, atol=5 / 64 + 1 / coord_range, rtol=0)


def test_named_points_are_no_polygon(model):
    text = _instruction(NAMES, 5).replace('Give', 'The points are ["a", "b", "c", "d", "e"]. Give')
    result = _predict(model, *batch([1], text=text))[0]
    assert result.points.shape == (80, 5, 2) and 'masks' not in result


def test_a_batch_may_ask_for_objects_and_text_while_evaluating_only(model):
    images, samples = batch([1, 1, 1])
    plain = _predict(model, images[::2], samples[::2])
    ask_for_text(samples[1:2], ['a star'])
    mixed = model.predict(images, samples)
    assert isinstance(mixed[1].pred_text, str) and 'pred_instances' not in mixed[1]
    for result, expected in zip(mixed[::2], plain, strict=True):
        _assert_same(result.pred_instances, expected)
    with pytest.raises(ValueError, match='one task per batch'):
        model.loss(images, samples)


def test_second_look_through_the_caches_gives_the_same(model):
    model.eval()
    text_first = _instruction(NAMES).replace('<image> ', '') + ' Picture: <image>'
    images, samples = batch([1, 2], text=text_first)
    first = _predict(model, images, samples)
    assert model.task_decoder.text_cache and model.text_encoder._cache
    for again, before in zip(_predict(model, images, samples), first, strict=True):
        _assert_same(again, before)


def test_instruction_alone_states_what_is_looked_for(model):
    images, samples = batch([1], names=['circle', 'square'])
    assert set(_predict(model, images, samples)[0].label_names) == {'circle', 'square'}
    samples[0].set_metainfo(dict(instruction=_instruction(['blue cross'])))
    assert set(_predict(model, images, samples)[0].label_names) == {'blue cross'}


def test_boxes_without_rescaling_are_in_pixels_of_the_input(model):
    images, samples = batch([1])
    samples[0].set_metainfo(dict(scale_factor=(0.5, 0.25)))
    resized, original = _predict(model, images, samples, rescale=False)[0], _predict(model, images, samples)[0]
    torch.testing.assert_close(original.bboxes, resized.bboxes * torch.tensor([2.0, 4.0, 2.0, 4.0]))


def test_the_three_modes_of_mmengine(model):
    images, samples = batch([1, 2])
    losses = model(images, samples, mode='loss')
    assert all(loss.ndim == 0 and loss.isfinite() for loss in losses.values())
    with torch.no_grad():
        assert len(model(images, samples, mode='predict')) == 2
        objectness, centers, classes, points = model(images, samples, mode='tensor')
    assert objectness.shape == (2, 20) and centers.shape == (2, 20, 2)
    assert classes.shape == (2, 20, 5) and points.shape == (2, 20, 2, 2, 129)
    with pytest.raises(RuntimeError, match='mode'):
        model(images, samples, mode='other')


def test_train_steps_change_every_part():
    """Two steps: the fusion starts as the identity, so the text encoder learns from the second on."""
    model = build_model().train()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    images, samples = batch([2, 1])
    wrapper = OptimWrapper(SGD(model.parameters(), lr=0.1))
    for _ in range(2):
        data = dict(inputs=[image.clamp(0, 255).byte() for image in images], data_samples=samples)
        assert model.train_step(data, wrapper)['loss'] > 0
    changed = {name.split('.')[0] for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {'backbone', 'neck', 'text_encoder', 'image_tokenizer', 'task_decoder'}


@pytest.mark.parametrize(
    'text, message',
    [
        ('Find {"a": <c0>} as (c, x1, y1, x2, y2)', 'exactly once'),
        ('<image> Find {} as (c, x1, y1, x2, y2)', 'one category set'),
        ('<image> Find {"a": <c0>}', 'one output format'),
        ('<image> Find {"a": <c64>} as (c, x1, y1, x2, y2)', 'not in the vocabulary'),
        ('<image> Find {"a": <c0>} as (c, x1, y1, x2, y2) in range 65', 'range 65'),
    ],
)
@pytest.mark.parametrize('mode', ['loss', 'predict', 'tensor'])
def test_bad_instructions_are_errors_in_every_mode(model, text, message, mode):
    images, samples = batch([1], text=text)
    with pytest.raises(ValueError, match=message):
        model(images, samples, mode=mode)


def test_state_dict_round_trip_gives_the_same_answers(model, tmp_path):
    torch.save(model.state_dict(), tmp_path / 'weights.pth')
    other = build_model(seed=5).eval()
    images, samples = batch([1])
    before = _predict(other, images, samples)[0]
    other.load_state_dict(torch.load(tmp_path / 'weights.pth', weights_only=True))
    after, expected = _predict(other, images, samples)[0], _predict(model, images, samples)[0]
    _assert_same(after, expected)
    assert (before.scores - expected.scores).abs().max() > 1e-3


def test_weights_of_another_model_are_refused(model):
    for others in (dict(model.backbone.state_dict(prefix='backbone.'), **{'bbox_head.fc.weight': torch.zeros(1)}), {}):
        with pytest.raises(ValueError, match='holds no VisionLLM: .*no task_decoder. To begin with the backbone'):
            model.load_state_dict(others, strict=False)


def test_weights_of_another_vocabulary_of_the_same_size_are_refused(model):
    cfg = model_config().model
    cfg.vocabulary.update(num_classes=cfg.vocabulary.num_classes + 2, coord_range=cfg.vocabulary.coord_range - 1)
    other = MODELS.build(cfg)
    assert other.vocabulary.size == model.vocabulary.size
    with pytest.raises(ValueError, match=r'another vocabulary.* = \[64, 64, 24\] there and \[66, 63, 24\] in this'):
        other.load_state_dict(model.state_dict(), strict=False)


@pytest.mark.parametrize('counts', [[2, 0, 3], [0, 0], [25]])
def test_losses_are_finite_and_reach_every_weight(counts):
    """Images without objects train, and so does an image with more objects than tokens."""
    model = build_model().train()
    losses = model.loss(*batch(counts))
    sum(losses.values()).backward()
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []


def test_losses_do_not_depend_on_the_order_of_images():
    model = build_model().eval()
    images, samples = batch([1, 3, 2])
    forward = model.loss(images, samples)
    backward = model.loss(images.flip(0), samples[::-1])
    for name in forward:
        torch.testing.assert_close(forward[name], backward[name], atol=1e-5, rtol=1e-4)


def test_a_sample_without_instruction_is_an_error():
    model = build_model()
    images, samples = batch([1])
    del samples[0].instruction
    with pytest.raises(ValueError, match='no instruction'):
        model.loss(images, samples)


def test_classes_in_groups_are_the_best_of_all_groups(model):
    images, samples = batch([1, 1], text=_instruction(NAMES[:2]))
    texts = [_instruction(NAMES[:2]), _instruction(NAMES[2:])]
    parts = []
    for text, labels in zip(texts, ([0, 1], [2, 3]), strict=True):
        for sample in samples:
            sample.set_metainfo(dict(instruction=text, class_labels=labels))
        parts.append(_predict(model, images, samples))
    samples[0].set_metainfo(
        dict(instruction=texts[0], class_labels=[0, 1], class_groups=[(texts[0], [0, 1]), (texts[1], [2, 3])])
    )
    grouped, alone = _predict(model, images, samples)
    _assert_same(alone, parts[1][1])
    assert len(grouped) == 80 and set(grouped.label_names) == set(NAMES)
    torch.testing.assert_close(
        grouped.scores, torch.cat([part[0].scores for part in parts]).sort(descending=True).values
    )
    for label, name in enumerate(NAMES):
        rows = grouped.labels == label
        expected = parts[label // 2][0]
        torch.testing.assert_close(grouped.bboxes[rows], expected.bboxes[expected.labels == label])
        assert {grouped.label_names[i] for i in rows.nonzero().flatten().tolist()} == {name}


def test_no_more_predictions_than_asked_for_from_all_groups(model, monkeypatch):
    monkeypatch.setattr(model.postprocessor, 'max_per_img', 15)
    images, samples = batch([1], text=_instruction(NAMES[:2]))
    samples[0].set_metainfo(
        dict(class_labels=[0, 1], class_groups=[(_instruction(NAMES[:2]), [0, 1]), (_instruction(NAMES[2:]), [2, 3])])
    )
    assert len(_predict(model, images, samples)[0]) == 15


def test_one_bad_sample_of_a_batch_is_an_error(model):
    images, samples = batch([1, 1, 1])
    samples[1].set_metainfo(dict(instruction='Find {"a": <c0>} in <image>.'))
    with pytest.raises(ValueError, match='one output format'):
        _predict(model, images, samples)
