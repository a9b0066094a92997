"""Leaf layers: masks, location codec, embeddings, fusion, projector."""

import numpy as np
import pytest
import torch

from visionllm_mm.instructions import Vocabulary
from visionllm_mm.models.layers.added_tokens import AddedTokens
from visionllm_mm.models.layers.block_attention import blocks_mask, points_mask, prefix_mask, to_additive
from visionllm_mm.models.layers.cross_modal_fusion import CrossModalFusion
from visionllm_mm.models.layers.location_codec import decode_expected_offsets, encode_soft_targets
from visionllm_mm.models.layers.position_embedding import circular_embedding, comparable_embedding, sine_embedding
from visionllm_mm.models.token_projector import TokenProjector


@pytest.mark.parametrize('num_blocks, block_length', [(1, 1), (4, 1), (3, 5)])
def test_blocks_mask_against_its_definition(num_blocks, block_length):
    lengths, prefix_size = [6, 2], 6
    mask = blocks_mask(torch.arange(prefix_size) < torch.tensor(lengths)[:, None], num_blocks, block_length)
    assert mask.shape == (2, num_blocks * block_length, prefix_size + num_blocks * block_length)
    for b, length in enumerate(lengths):
        for q in range(num_blocks * block_length):
            for k in range(prefix_size + num_blocks * block_length):
                other = k - prefix_size
                in_own_block = other // block_length == q // block_length and other <= q
                assert mask[b, q, k] == (k < length if other < 0 else in_own_block), (b, q, k)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_additive_mask_leaves_no_weight_on_what_is_masked(dtype):
    mask = torch.tensor([[[True, False, True]]])
    additive = to_additive(mask, dtype)
    assert additive.shape == (1, 1, 1, 3) and additive.dtype == dtype and additive.isfinite().all()
    weights = (torch.tensor([1.0, 100.0, 1.0], dtype=dtype) + additive).softmax(dim=-1)
    assert weights.flatten().tolist() == [0.5, 0.0, 0.5]


@pytest.mark.parametrize('coord_range', [1, 16, 64, 512])
def test_one_hot_targets_are_the_vocabularys_bins(coord_range):
    vocabulary = Vocabulary(coord_range=coord_range)
    offsets = np.random.default_rng(0).uniform(-1.3, 1.3, 500)
    targets = encode_soft_targets(torch.from_numpy(offsets), coord_range, sigma=0)
    assert targets.shape == (500, vocabulary.num_bins)
    assert (targets.sum(dim=-1) == 1).all()
    np.testing.assert_array_equal(targets.argmax(dim=-1), vocabulary.encode_offsets(offsets))


@pytest.mark.parametrize('sigma', [0.5, 1.0, 3.0])
def test_gaussian_targets_are_a_discrete_gaussian_about_the_exact_value(sigma):
    offset, coord_range = 0.3, 10
    target = encode_soft_targets(torch.tensor([offset]), coord_range, sigma)[0]
    density = np.exp(-0.5 * ((np.arange(21) - (offset + 1) * coord_range) / sigma) ** 2)
    np.testing.assert_allclose(target, density / density.sum(), atol=1e-6)


def test_targets_outside_the_range_are_clamped():
    for sigma in (0.0, 1.0):
        far = encode_soft_targets(torch.tensor([-7.0, 7.0]), 8, sigma)
        torch.testing.assert_close(far, encode_soft_targets(torch.tensor([-1.0, 1.0]), 8, sigma))
        assert far.argmax(dim=-1).tolist() == [0, 16]


@pytest.mark.parametrize('coord_range', [16, 64, 512])
def test_expected_offset_of_gaussian_targets_is_finer_than_a_tenth_of_a_bin(coord_range):
    # Off the edges by three sigma: a target cut off by the range has another mean.
    limit = 1 - 3 / coord_range
    offsets = torch.linspace(-limit, limit, 997, dtype=torch.float64)
    decoded = decode_expected_offsets(encode_soft_targets(offsets, coord_range, sigma=1.0).log(), coord_range)
    error_in_bins = (decoded - offsets).abs() * coord_range
    assert error_in_bins.max() < 0.1 and error_in_bins.mean() < 0.05


def test_expected_offset_ignores_bins_far_from_the_best():
    logits = torch.zeros(1, 33)
    logits[0, 20], logits[0, 3] = 8.0, 7.9
    alone = torch.zeros(1, 33)
    alone[0, 20] = 8.0
    torch.testing.assert_close(decode_expected_offsets(logits, 16), decode_expected_offsets(alone, 16))
    assert decode_expected_offsets(logits, 16, window=32)[0] < decode_expected_offsets(alone, 16)[0] - 0.3


def test_expected_offset_at_the_ends_stays_inside():
    logits = torch.full((2, 9), -20.0)
    logits[0, 0] = logits[1, 8] = 20.0
    torch.testing.assert_close(decode_expected_offsets(logits, 4), torch.tensor([-1.0, 1.0]))


def test_sine_embedding_is_its_formula():
    point, dims = torch.tensor([0.25, 0.75]), 8
    expected = []
    for value in point.tolist():
        angles = [value * dims / 2 * 2 * np.pi * 10000 ** (-2 * i / dims) for i in range(dims // 2)]
        expected += [*np.sin(angles), *np.cos(angles)]
    np.testing.assert_allclose(sine_embedding(point, dims), expected, atol=1e-5)


def test_sine_embedding_tells_points_apart():
    grid = torch.stack(torch.meshgrid(*2 * [torch.linspace(0, 1, 21)], indexing='ij'), dim=-1).view(-1, 2)
    embedded = sine_embedding(grid, 64)
    assert embedded.shape == (441, 128) and embedded.abs().max() <= 1
    assert torch.pdist(embedded).min() > 0.5


def test_positions_in_long_waves_can_be_compared():
    """Along one direction of the features, what is further right is always larger."""
    positions = torch.linspace(0, 1, 41)[:, None]
    embedded = comparable_embedding(positions, 16)
    assert embedded.shape == (41, 16) and embedded.abs().max() <= 1
    periods = 0.25 * 2 ** (3 * np.arange(8) / 8)
    angles = 2 * np.pi * 0.3 * periods
    np.testing.assert_allclose(embedded[12], [*np.sin(angles), *np.cos(angles)], atol=1e-5)
    assert (embedded[1:, 0] > embedded[:-1, 0]).all() and (embedded[1:, 8] < embedded[:-1, 8]).all()
    assert torch.pdist(embedded).min() > 0.05


def test_a_closed_line_ends_where_it_begins():
    embedded = circular_embedding(torch.tensor([0.0, 0.25, 0.5, 1.0]), harmonics=2)
    np.testing.assert_allclose(embedded, [[0, 0, 1, 1], [1, 0, 0, -1], [0, 0, -1, 1], [0, 0, 1, 1]], atol=1e-5)


def _fusion():
    torch.manual_seed(0)
    fusion = CrossModalFusion(16, num_heads=2)
    padding = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    return fusion, torch.randn(2, 16, 3, 4), torch.randn(2, 5, 16), padding


def test_fusion_starts_as_the_identity_and_can_leave_it():
    fusion, visual, language, padding = _fusion()
    torch.testing.assert_close(fusion(visual, language, padding), visual)
    fusion(visual, language, padding).square().sum().backward()
    assert fusion.attention.out_proj.weight.grad.abs().max() > 0


def test_fusion_reads_language_but_not_its_padding():
    fusion, visual, language, padding = _fusion()
    torch.nn.init.normal_(fusion.attention.out_proj.weight)
    before = fusion(visual, language, padding)
    behind = language.clone()
    behind[1, 3:] += 10
    torch.testing.assert_close(fusion(visual, behind, padding), before)
    behind[1, 2] += 10
    after = fusion(visual, behind, padding)
    torch.testing.assert_close(after[0], before[0])
    assert (after[1] - before[1]).abs().max() > 1e-2


def test_fusion_keeps_every_pixel_in_its_place():
    """Without fused language the map comes back as it was; a change of one pixel changes that pixel alone."""
    fusion, visual, language, padding = _fusion()
    torch.nn.init.normal_(fusion.attention.out_proj.weight)
    changed = visual.clone()
    changed[0, :, 1, 2] += 1
    difference = (fusion(changed, language, padding) - fusion(visual, language, padding)).abs().amax(dim=1)
    assert difference[0].nonzero().tolist() == [[1, 2]] and difference[1].max() == 0


@pytest.mark.parametrize('box_dims', [2, 4])
def test_projected_content_and_box_have_the_length_of_a_word(box_dims):
    torch.manual_seed(0)
    projector = TokenProjector(8, 32, box_dims, word_norm=3.0)
    content = projector.project_content(torch.randn(5, 7, 8) * 20)
    torch.testing.assert_close(content.norm(dim=-1), torch.full((5, 7), 3.0))
    boxes = projector(torch.zeros(1, 200, 32), torch.rand(1, 200, box_dims))[0]  # added to the content
    torch.testing.assert_close(boxes.norm(dim=-1), torch.full((200,), 3.0))
    assert (boxes[1:] - boxes[:-1]).norm(dim=-1).min() > 0.1


def test_logits_of_added_tokens_start_moderate_also_where_hidden_states_are_long():
    torch.manual_seed(0)
    hidden = 50 * torch.nn.functional.normalize(torch.randn(1, 200, 64), dim=-1)
    for std, logits in ((0.14, 1.0), (0.01, 0.5)):  # short rows stay as they are
        tokens = AddedTokens(300, 64, std=std, hidden_norm=50.0)
        assert tokens.logits(hidden, torch.arange(300)).std().item() == pytest.approx(logits, rel=0.2)
        assert tokens.embedding.weight.std().item() == pytest.approx(std, rel=0.1)


def test_added_logits_are_the_rows_of_the_admissible_tokens():
    tokens = AddedTokens(9, 4)
    hidden = torch.randn(2, 3, 4)
    whole = hidden @ tokens.output_rows.T
    torch.testing.assert_close(tokens.logits(hidden, torch.tensor([7, 2])), whole[..., [7, 2]])
    each = tokens.logits(hidden, torch.tensor([[0, 1], [8, 3]]))
    torch.testing.assert_close(each, torch.stack([whole[0][:, [0, 1]], whole[1][:, [8, 3]]]))
    assert tokens.logits(hidden.bfloat16(), torch.tensor([1])).dtype == torch.float32


def test_added_tokens_of_another_vocabulary_are_refused():
    model = torch.nn.ModuleDict(dict(added=AddedTokens(9, 4)))
    other = torch.nn.ModuleDict(dict(added=AddedTokens(11, 4))).state_dict()
    with pytest.raises(ValueError, match=r'added.output_rows.* is \(11, 4\) there and \(9, 4\) in this.*num_classes'):
        model.load_state_dict(other, strict=False)


def test_prefix_mask_against_its_definition():
    lengths, starts, tokens, size = [7, 5], [2, 0], 3, 7
    mask = prefix_mask(torch.tensor(lengths), torch.tensor(starts), tokens, size)
    for b in range(2):
        image = range(starts[b], starts[b] + tokens)
        for q in range(size):
            for k in range(size):
                allowed = k < lengths[b] and (k <= q or (q in image and k in image))
                assert mask[b, q, k] == (allowed or q == k), (b, q, k)


def test_points_mask_is_the_block_mask_of_one_pass():
    valid = torch.tensor([[True, True, False]])
    kept, queries, tokens = torch.tensor([[3, 1]]), 4, 5
    whole = blocks_mask(valid, tokens, 1 + queries)
    mask = points_mask(valid, kept, tokens, queries)
    for block, token in enumerate(kept[0].tolist()):
        for s in range(queries):
            row, plain = mask[0, block * queries + s], whole[0, token * (1 + queries) + 1 + s]
            assert (row[:3] == plain[:3]).all()
            assert row[3 : 3 + tokens].nonzero().flatten().tolist() == [token]
            own = plain[3 + token * (1 + queries) + 1 :][:queries]
            assert (row[3 + tokens + block * queries :][:queries] == own).all()
            assert row.sum() == plain.sum()
