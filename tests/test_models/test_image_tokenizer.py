"""Language-guided image tokenizer against mmdet's Deformable DETR, and its own promises."""

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from tests.helpers.tiny import CONFIG, ROOT, batch
from visionllm_mm.models import LanguageGuidedImageTokenizer
from visionllm_mm.models.layers.encoder_proposals import best_positions

PLAIN = ROOT / 'configs/baselines/deformable-detr_r18_miniscenes.py'


def _tokenizer(seed=0, **changes) -> LanguageGuidedImageTokenizer:
    init_default_scope('mmdet')
    torch.manual_seed(seed)
    return MODELS.build(dict(Config.fromfile(CONFIG).model.image_tokenizer, text_dims=8) | changes)


def _inputs(sizes=((64, 64), (40, 64)), seed=0):
    """Feature levels, language, its padding, and samples of images of ``sizes`` padded to 64 x 64."""
    torch.manual_seed(seed)
    _, samples = batch([0] * len(sizes))
    for sample, size in zip(samples, sizes, strict=True):
        sample.set_metainfo(dict(img_shape=size))
    features = tuple(torch.randn(len(sizes), 128, s, s) for s in (8, 4, 2, 1))
    return features, torch.randn(len(sizes), 3, 8), torch.zeros(len(sizes), 3, dtype=torch.bool), samples


def test_every_layer_equals_mmdets_with_padded_images():
    """With equal weights and identity fusion, the states of all decoder layers are Deformable DETR's.

    Neither side refines here: mmdet would turn the points into boxes, and the first centre heads move nothing.
    """
    tokenizer = _tokenizer(as_two_stage=False)
    detr = MODELS.build(dict(Config.fromfile(PLAIN).model, with_box_refine=False))
    for part in ('encoder', 'decoder', 'reference_points_fc'):
        getattr(detr, part).load_state_dict(getattr(tokenizer, part).state_dict())
    queries = [tokenizer.query_position.weight, tokenizer.query_embedding.weight]
    detr.query_embedding.weight.data.copy_(torch.cat(queries, dim=1))
    detr.level_embed.data.copy_(tokenizer.level_embed.data)
    features, language, padding, samples = _inputs()
    plain = detr.forward_transformer(features, samples)
    tokens = tokenizer(features, language, padding, samples)
    assert len(tokens.embeddings) == 2
    torch.testing.assert_close(tokens.embeddings, plain['hidden_states'], atol=1e-5, rtol=1e-5)
    for ours, theirs in zip(tokens.centers_norm, plain['references'][1:], strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_what_lies_in_the_padding_does_not_matter():
    tokenizer = _tokenizer()
    features, language, padding, samples = _inputs()
    plain = tokenizer(features, language, padding, samples)
    for level in features[:3]:
        rows = level.shape[2] * 40 // 64
        level[1, :, rows + 1 :] = 99.0  # a row that shows a sliver of the image is no padding
    changed = tokenizer(features, language, padding, samples)
    torch.testing.assert_close(changed.embeddings, plain.embeddings, atol=1e-5, rtol=1e-5)
    features[0][1, :, 0] = 99.0
    assert (tokenizer(features, language, padding, samples).embeddings[:, 1] - plain.embeddings[:, 1]).abs().max() > 0.1


def test_batch_mates_do_not_matter():
    tokenizer = _tokenizer()
    features, language, padding, samples = _inputs()
    both = tokenizer(features, language, padding, samples)
    alone = tokenizer(tuple(f[1:] for f in features), language[1:], padding[1:], samples[1:])
    torch.testing.assert_close(alone.embeddings, both.embeddings[:, 1:], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(alone.centers_norm, both.centers_norm[:, 1:], atol=1e-5, rtol=1e-5)


def test_centers_are_refined_from_layer_to_layer():
    tokenizer = _tokenizer()
    for head, shift in zip(tokenizer.place_heads, (0.5, 0.25), strict=True):
        head[-1].bias.data[:2] = torch.tensor([shift, -shift])
    centers = tokenizer(*_inputs()).centers_norm
    step = torch.logit(centers[1]) - torch.logit(centers[0])
    torch.testing.assert_close(step, torch.tensor([0.25, -0.25]).expand_as(step), atol=1e-4, rtol=1e-4)


def test_language_guides_once_the_fusion_is_trained():
    tokenizer = _tokenizer()
    features, language, padding, samples = _inputs()
    before = tokenizer(features, language, padding, samples).embeddings
    torch.testing.assert_close(tokenizer(features, language + 1, padding, samples).embeddings, before)
    for fusion in tokenizer.fusions:
        torch.nn.init.normal_(fusion.attention.out_proj.weight, std=0.3)
    other = language + torch.randn(2, 3, 8)
    first, second = (tokenizer(features, x, padding, samples).embeddings for x in (language, other))
    assert (first - second).abs().max() > 0.1


def test_shapes_and_first_objectness():
    tokens = _tokenizer(num_tokens=7)(*_inputs())
    assert tokens.embeddings.shape == (2, 2, 7, 128) and tokens.centers_norm.shape == (2, 2, 7, 2)
    assert tokens.objectness.shape == (2, 2, 7)
    assert ((tokens.centers_norm > 0) & (tokens.centers_norm < 1)).all()
    assert tokens.objectness.sigmoid().mean() < 0.1


def test_position_features_of_a_wrong_width_are_refused():
    with pytest.raises(ValueError, match='num_feats must be half of embed_dims = 128, got 32'):
        _tokenizer(positional_encoding=dict(num_feats=32))


def test_proposals_lie_where_mmdets_do():
    tokenizer = _tokenizer()
    detr = MODELS.build(dict(Config.fromfile(PLAIN).model, as_two_stage=True))
    features, language, padding, samples = _inputs()
    proposals = tokenizer(features, language, padding, samples).proposals
    encoder_inputs, _ = tokenizer.pre_transformer(features, samples)
    _, theirs = detr.gen_encoder_output_proposals(
        encoder_inputs['feat'], encoder_inputs['feat_mask'], encoder_inputs['spatial_shapes']
    )
    kept = theirs[..., 0].isfinite()  # mmdet leaves out padding and the outermost positions
    assert kept.any(dim=1).all()
    torch.testing.assert_close(proposals.centers_norm[kept], theirs[kept][:, :2].sigmoid(), atol=1e-4, rtol=0)
    assert (proposals.objectness[1] < -1e3).sum() == encoder_inputs['feat_mask'][1].sum() > 0
    sizes = torch.tensor([[64.0, 64.0], [64.0, 40.0]])
    torch.testing.assert_close(
        proposals.priors[..., :2][kept], (proposals.centers_norm * sizes[:, None])[kept], atol=1e-2, rtol=0
    )
    assert proposals.priors[0, :, 2].unique().tolist() == [8, 16, 32, 64]


def test_queries_start_at_the_best_proposals():
    tokenizer = _tokenizer(num_tokens=3)
    torch.nn.init.normal_(tokenizer.proposals.objectness.weight)
    features, language, padding, samples = _inputs()
    tokens = tokenizer(features, language, padding, samples)
    shapes = torch.tensor([level.shape[2:] for level in features])
    best = best_positions(tokens.proposals.objectness, shapes, 3)
    for i in range(2):  # the first centre heads move nothing
        torch.testing.assert_close(tokens.centers_norm[0, i], tokens.proposals.centers_norm[i, best[i]])


def test_best_positions_are_peaks_first_and_never_padding():
    fine = torch.tensor(
        [[5.0, 4.0, 0.0, -1e4], [3.0, 2.0, 1.0, -1e4], [-3.0, -2.0, -1.0, -1e4], [0.5, -5.0, -6.0, -1e4]]
    )
    coarse = torch.tensor([[4.5, -7.0]])
    objectness = torch.cat([fine.flatten(), coarse.flatten()])[None]
    shapes = torch.tensor([[4, 4], [1, 2]])
    # Peaks of their 3 x 3 neighbourhoods: 5.0, 4.5 (of the other scale) and 0.5; then by objectness.
    assert objectness[0, best_positions(objectness, shapes, 5)[0]].tolist() == [5.0, 4.5, 0.5, 4.0, 3.0]
    assert (objectness[0, best_positions(objectness, shapes, 14)[0]] > -1e3).all()


def test_weights_of_another_number_of_tokens_are_repeated():
    few, many = _tokenizer(num_tokens=3), _tokenizer(num_tokens=8, seed=1)
    many.load_state_dict(few.state_dict())
    content = few.query_embedding.weight
    torch.testing.assert_close(many.query_embedding.weight, torch.cat([content, content, content[:2]]))
    few.load_state_dict(many.state_dict())
    torch.testing.assert_close(few.query_embedding.weight, content)


def test_tokens_at_learned_points_can_not_be_repeated():
    with pytest.raises(ValueError, match='has 3 image tokens at learned points and this model 8: set .*num_tokens=3'):
        _tokenizer(num_tokens=8, as_two_stage=False).load_state_dict(
            _tokenizer(num_tokens=3, as_two_stage=False).state_dict(), strict=False
        )


def test_fewer_positions_than_tokens_is_an_error():
    with pytest.raises(ValueError, match='85 positions, fewer than num_tokens = 86'):
        _tokenizer(num_tokens=86)(*_inputs())


def test_sizes_start_at_mmdets_prior_and_are_refined_from_layer_to_layer():
    tokenizer = _tokenizer()
    inputs = _inputs()
    tokens = tokenizer(*inputs)
    prior = torch.tensor([0.05, 0.1, 0.2, 0.4]).repeat_interleave(torch.tensor([64, 16, 4, 1]))
    torch.testing.assert_close(tokens.proposals.sizes_norm, prior[None, :, None].expand(2, -1, 2))
    for i, shift in enumerate((0.5, 0.25)):
        tokenizer.place_heads[i][-1].bias.data.copy_(torch.tensor([0.0, 0.0, shift, -shift]))
    refined = tokenizer(*inputs)
    before = tokens.sizes_norm[0].logit()
    for layer, total in enumerate((0.5, 0.75)):
        moved = refined.sizes_norm[layer].logit() - before
        torch.testing.assert_close(moved, torch.tensor([total, -total]).expand_as(moved), atol=1e-3, rtol=0)
    assert refined.boxes_cxcywh.shape == (2, 2, 20, 4)


def test_one_stage_has_centres_alone():
    tokens = _tokenizer(as_two_stage=False)(*_inputs())
    assert tokens.sizes_norm is None and tokens.proposals is None
    assert tokens.boxes_cxcywh is tokens.centers_norm


def test_extra_tokens_start_at_the_given_boxes_and_change_nothing_else():
    tokenizer = _tokenizer()
    for head in tokenizer.place_heads:
        torch.nn.init.normal_(head[-1].weight, std=0.3)
    inputs = _inputs()
    plain = tokenizer(*inputs)
    boxes = torch.rand(2, 30, 4)
    both = tokenizer(*inputs, extra_boxes=boxes)
    assert plain.extra is None and both.extra.boxes_cxcywh.shape == (2, 2, 30, 4)
    torch.testing.assert_close(both.embeddings, plain.embeddings, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(both.boxes_cxcywh, plain.boxes_cxcywh, atol=1e-5, rtol=1e-5)
    # An extra token sees no other: alone it is the same. Token 25 has the query of token 5.
    other = torch.rand(2, 30, 4)
    other[:, 25] = boxes[:, 25]
    torch.testing.assert_close(
        tokenizer(*inputs, extra_boxes=other).extra.embeddings[:, :, 25],
        both.extra.embeddings[:, :, 25],
        atol=1e-5,
        rtol=1e-5,
    )
    tokenizer.place_heads.apply(lambda m: isinstance(m, torch.nn.Linear) and torch.nn.init.zeros_(m.weight))
    for head in tokenizer.place_heads:
        torch.nn.init.zeros_(head[-1].bias)
    torch.testing.assert_close(tokenizer(*inputs, extra_boxes=boxes).extra.boxes_cxcywh[0], boxes, atol=1e-4, rtol=0)
