"""The model's parts against plain forms."""

import pytest
import torch
from mmdet.registry import TASK_UTILS
from mmengine.structures import InstanceData
from torch.nn import functional as F

from tests.tiny import LLM, NAMES, batch, build_decoder, build_model, instructions
from visionllm_mm.models import AlignmentLoss, CausalLM, ClassTokenLoss, LocationTokenLoss, TextEncoder
from visionllm_mm.models.layers.block_attention import blocks_mask, points_mask, prefix_mask
from visionllm_mm.models.layers.location_codec import decode_expected_offsets, encode_soft_targets

BERT = dict(tokenizer='builtin', config=dict(
    hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, max_position_embeddings=128,
    hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0))


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
            assert row[3:3 + tokens].nonzero().flatten().tolist() == [token]
            own = plain[3 + token * (1 + queries) + 1:][:queries]
            assert (row[3 + tokens + block * queries:][:queries] == own).all()
            assert row.sum() == plain.sum()


def test_location_codec_is_finer_than_a_bin():
    offsets = torch.linspace(-0.9, 0.9, 181)
    targets = encode_soft_targets(offsets, 16, sigma=1.0)
    torch.testing.assert_close(targets.sum(dim=-1), torch.ones(181))
    decoded = decode_expected_offsets(targets.log(), 16)
    assert (decoded - offsets).abs().max() * 16 < 0.1
    assert encode_soft_targets(torch.tensor([0.5]), 16, sigma=0)[0].nonzero().item() == 24


def test_losses_against_torch():
    torch.manual_seed(0)
    logits, targets = torch.randn(2, 5, 4), torch.randint(0, 4, (2, 5))
    total, weight = ClassTokenLoss(none_weight=0.1)(logits, targets)
    expected = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), weight=torch.tensor([1.0, 1.0, 1.0, 0.1]))
    torch.testing.assert_close(total / weight, expected)

    logits, offsets = torch.randn(6, 33), torch.rand(6) * 2 - 1
    valid = torch.tensor([True, True, False, True, True, False])
    expected = F.cross_entropy(logits[valid], ((offsets[valid] + 1) * 16).round().long(), reduction='sum')
    torch.testing.assert_close(LocationTokenLoss(sigma=0)(logits, offsets, valid), expected)

    contents, names = torch.randn(1, 3, 8), torch.randn(1, 4, 8)
    name_valid = torch.tensor([[True, True, True, False]])
    similarity = 10 * F.cosine_similarity(contents[0, :, None], names[0, None, :3], dim=-1)
    expected = F.cross_entropy(similarity[:2], torch.tensor([2, 0]), reduction='sum')
    found = AlignmentLoss()(contents, names, name_valid, torch.tensor([[2, 0, 0]]), torch.tensor([[True, True, False]]))
    torch.testing.assert_close(found, expected)


def test_matching_follows_the_costs():
    assigner = TASK_UTILS.build(dict(type='HungarianAssigner', match_costs=[
        dict(type='ObjectnessFocalCost', weight=2.0), dict(type='CenterL1Cost', weight=5.0),
        dict(type='ClassProbabilityCost', weight=1.0)]))
    predictions = InstanceData(
        objectness=torch.tensor([0.0, 0.0, 0.0]), centers_norm=torch.tensor([[0.1, 0.1], [0.5, 0.5], [0.9, 0.9]]),
        class_logits=torch.zeros(3, 3))
    objects = InstanceData(labels=torch.tensor([0, 1]), centers_norm=torch.tensor([[0.85, 0.9], [0.2, 0.1]]))
    assert assigner.assign(predictions, objects).gt_inds.tolist() == [2, 0, 1]
    nothing = InstanceData(labels=torch.zeros(0, dtype=torch.long), centers_norm=torch.zeros(0, 2))
    assert assigner.assign(predictions, nothing).gt_inds.tolist() == [0, 0, 0]


def test_class_token_is_embedded_with_its_name():
    decoder = build_decoder()
    asked = instructions(1, names=['circle', 'red star'])
    prefix = decoder.embed_prefix(asked, torch.zeros(1, 3, 32))
    ids = decoder.llm.word_ids('red star')
    mean = decoder.llm.embed_words(torch.tensor(ids)).mean(dim=0)
    torch.testing.assert_close(prefix.name_embeddings[0, 1], mean)
    expected = decoder.added_tokens(torch.tensor(1)) + mean
    distance = (prefix.embeddings[0] - expected).norm(dim=-1)
    assert (distance < 1e-5).sum() == 1


def test_too_long_instructions_are_errors():
    decoder = build_decoder(config=dict(LLM['config'], max_position_embeddings=40))
    with pytest.raises(ValueError, match='the LLM has 40'):
        decoder.read(instructions(1), torch.zeros(1, 3, 32))
    encoder = TextEncoder(**BERT)
    with pytest.raises(ValueError, match='the text encoder takes 128'):
        encoder(['word ' * 500])


def test_text_encoder_ignores_padding_and_caches():
    encoder = TextEncoder(**BERT).eval()
    with torch.no_grad():
        alone, _ = encoder(['a red star'])
        padded, padding = encoder(['a red star', 'a much longer text about a circle and a ring'])
        torch.testing.assert_close(padded[0, ~padding[0]], alone[0], atol=1e-5, rtol=1e-5)
        again, _ = encoder(['a red star'] * 2)
    torch.testing.assert_close(again[1], alone[0])
    assert encoder._cache
    encoder.load_state_dict(encoder.state_dict())
    assert not encoder._cache


def test_language_models_load_from_folders(tmp_path):
    llm = CausalLM(**LLM)
    llm.base.save_pretrained(tmp_path / 'llm')
    llm.tokenizer.save_pretrained(tmp_path / 'llm')
    loaded = CausalLM(path=str(tmp_path / 'llm'))
    torch.testing.assert_close(loaded.base.lm_head.weight, llm.base.lm_head.weight)
    assert not any(p.requires_grad for p in loaded.parameters())
    for part in (CausalLM, TextEncoder):
        with pytest.raises(FileNotFoundError, match='/no/such/folder'):
            part(path='/no/such/folder', tokenizer='builtin')
        with pytest.raises(ValueError, match='either path'):
            part(tokenizer='builtin')


def test_lora_starts_as_the_identity_and_trains_alone():
    lora = dict(r=4, lora_alpha=8, target_modules=['q_proj', 'k_proj', 'v_proj', 'o_proj'])
    torch.manual_seed(0)
    plain = CausalLM(**LLM)
    torch.manual_seed(0)
    adapted = CausalLM(**(LLM | dict(lora=lora, freeze=True)))
    x = torch.randn(1, 5, 32)
    mask, positions = torch.ones(1, 5, 5, dtype=torch.bool).tril(), torch.arange(5)[None]
    torch.testing.assert_close(adapted(x, mask, positions)[0], plain(x, mask, positions)[0])
    trained = {name for name, p in adapted.named_parameters() if p.requires_grad}
    assert trained and all('lora_' in name for name in trained)


def test_llm_equals_hugging_face_causal_form():
    llm = CausalLM(**LLM)
    ids = torch.tensor([[5, 9, 20, 7]])
    hidden, _ = llm(llm.embed_words(ids), torch.ones(1, 4, 4, dtype=torch.bool).tril(), torch.arange(4)[None])
    torch.testing.assert_close(hidden, llm.base.model(input_ids=ids).last_hidden_state, atol=1e-5, rtol=1e-5)


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


def test_predictions_are_well_formed():
    model = build_model().eval()
    images, samples = batch([1, 1])
    samples[0].set_metainfo(dict(scale_factor=(2.0, 0.5), class_labels=[3, 2, 1, 0]))
    with torch.no_grad():
        first = model.predict(images, samples)[0].pred_instances
        raw = model(images, samples, mode='tensor')
    assert (first.scores.diff() <= 0).all()
    assert (first.bboxes[:, 0::2] <= 32).all() and (first.bboxes[:, 1::2] <= 128).all() and (first.bboxes >= 0).all()
    assert (first.bboxes[:, 2:] >= first.bboxes[:, :2]).all()
    assert all(NAMES[3 - label] == name for label, name in zip(first.labels.tolist(), first.label_names, strict=True))
    assert raw[0].shape == (2, 20) and raw[2].shape == (2, 20, 5) and raw[3].shape == (2, 20, 2, 2, 129)


def test_a_sample_without_instruction_is_an_error():
    model = build_model()
    images, samples = batch([1])
    del samples[0].instruction
    with pytest.raises(ValueError, match='no instruction'):
        model.loss(images, samples)
