"""The two-pass decoding against the plain one-pass form, forward and gradient."""

import pytest
import torch

from tests.helpers.tiny import build_decoder, instructions
from visionllm_mm.models.one_pass import decode_one_pass


def _answers(decoder, num_points, kept, two_pass):
    torch.manual_seed(1)
    inputs = torch.randn(3, 6, 32).requires_grad_()
    given = instructions(4, num_points)[1:]  # the last one asks for a single class
    if two_pass:
        state = decoder.read(given, inputs)
        classes, points = decoder.class_logits(state), decoder.point_logits(state, kept, num_points)
    else:
        classes, points = decode_one_pass(decoder, given, inputs, num_points)
        points = points[torch.arange(3)[:, None], kept]
    (classes.clamp(min=-50).square().sum() + points.square().sum()).backward()
    gradients = {name: p.grad.clone() for name, p in decoder.named_parameters() if p.grad is not None}
    decoder.zero_grad()
    return classes.detach(), points.detach(), inputs.grad, gradients


@pytest.mark.parametrize('num_points', [2, 8, 24])
@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('hints', [None, dict(num_phrases=2, point_places=True, objectness=True)], ids=['none', 'all'])
def test_equals_one_pass(num_points, training, hints):
    decoder = build_decoder(hints=hints).train(training)
    kept = torch.tensor([[0, 3, 5, 2], [1, 0, 4, 5], [2, 3, 0, 1]])
    fast = _answers(decoder, num_points, kept, two_pass=True)
    plain = _answers(decoder, num_points, kept, two_pass=False)
    for a, b in zip(fast[:2], plain[:2], strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
    # Gradients are sums of many float32 terms: their error goes with the largest of them.
    scale = plain[2].abs().max()
    torch.testing.assert_close(fast[2] / scale, plain[2] / scale, atol=1e-5, rtol=0)
    assert fast[3].keys() == plain[3].keys()
    for name in fast[3]:
        scale = plain[3][name].abs().max().clamp(min=1)
        torch.testing.assert_close(fast[3][name] / scale, plain[3][name] / scale, atol=1e-5, rtol=0, msg=name)


def test_answers_do_not_depend_on_who_else_is_decoded():
    decoder = build_decoder().eval()
    inputs = torch.randn(2, 6, 32)
    state = decoder.read(instructions(2), inputs)
    together = decoder.point_logits(state, torch.tensor([[4, 1, 2, 3, 0], [0, 1, 2, 3, 4]]), 2)
    alone = decoder.point_logits(state, torch.tensor([[2], [3]]), 2)
    torch.testing.assert_close(together[0, 2], alone[0, 0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(together[1, 3], alone[1, 0], atol=1e-5, rtol=1e-5)


def test_blocks_are_exchangeable():
    decoder = build_decoder().eval()
    state = decoder.read(instructions(1), torch.randn(1, 6, 32))
    order = torch.tensor([[5, 0, 3]])
    points = decoder.point_logits(state, order, 8)
    torch.testing.assert_close(decoder.point_logits(state, order.flip(1), 8), points.flip(1), atol=1e-5, rtol=1e-5)


def test_shorter_format_is_a_prefix_of_a_longer_one():
    decoder = build_decoder().eval()
    state = decoder.read(instructions(1), torch.randn(1, 6, 32))
    kept = torch.tensor([[1, 2]])
    torch.testing.assert_close(
        decoder.point_logits(state, kept, 8), decoder.point_logits(state, kept, 24)[:, :, :8], atol=1e-5, rtol=1e-5
    )


def test_points_of_formats_of_different_lengths():
    """With ``point_places`` an image of a batch answers for its own number of points."""
    decoder = build_decoder(hints=dict(point_places=True)).eval()
    inputs = torch.randn(2, 6, 32)
    kept = torch.tensor([[1, 2], [3, 0]])
    short, long = instructions(1, 8), instructions(1, 24)
    together = decoder.point_logits(decoder.read([*short, *long], inputs), kept, 24)
    alone = decoder.point_logits(decoder.read(short, inputs[:1]), kept[:1], 8)
    torch.testing.assert_close(together[:1, :, :8], alone, atol=1e-5, rtol=1e-5)
    other = decoder.point_logits(decoder.read(long, inputs[:1]), kept[:1], 24)
    assert (together[:1] - other).abs().amax() > 0.1


def test_a_silent_llm_leaves_what_the_point_queries_predict():
    decoder = build_decoder(hints=dict(point_places=True)).eval()
    inputs, kept, counts = torch.randn(2, 6, 32), torch.tensor([[1, 2], [3, 0]]), torch.tensor([8, 24])
    given = [*instructions(1, 8), *instructions(1, 24)]
    before = decoder.point_logits(decoder.read(given, inputs), kept, 24)
    queries = decoder.point_queries(inputs[torch.arange(2)[:, None], kept], counts, 24)
    alone = decoder.location_logits(decoder.llm.normalize(queries)).view_as(before)
    assert (alone - before).abs().amax() > 0.1
    for layer in decoder.llm.base.model.layers:
        for part in (layer.self_attn.o_proj, layer.mlp.down_proj):
            torch.nn.init.zeros_(part.weight)
    silent = decoder.point_logits(decoder.read(given, inputs), kept, 24)
    torch.testing.assert_close(silent, alone, atol=1e-5, rtol=1e-5)


def test_padding_changes_nothing():
    """An instruction answers alike alone and beside a longer one."""
    decoder = build_decoder().eval()
    inputs = torch.randn(3, 6, 32)
    given = instructions(3)
    assert len({len(i.text) for i in given}) > 1
    together = decoder.class_logits(decoder.read(given, inputs))
    for i in range(3):
        alone = decoder.class_logits(decoder.read(given[i : i + 1], inputs[i : i + 1]))
        size = len(given[i].class_names)
        torch.testing.assert_close(together[i, :, :size], alone[0, :, :size], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(together[i, :, -1], alone[0, :, -1], atol=1e-5, rtol=1e-5)


def test_cached_text_equals_uncached():
    decoder = build_decoder().eval()
    inputs = torch.randn(2, 6, 32)
    given = instructions(1) * 2
    with torch.no_grad():
        first = decoder.class_logits(decoder.read(given, inputs))
        assert decoder.text_cache
        cached = decoder.class_logits(decoder.read(given, inputs))
    with torch.enable_grad():
        plain = decoder.class_logits(decoder.read(given, inputs))
    torch.testing.assert_close(first, plain, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(cached, plain, atol=1e-5, rtol=1e-5)


def test_cache_is_dropped_with_new_weights():
    decoder = build_decoder().eval()
    with torch.no_grad():
        decoder.read(instructions(1), torch.randn(1, 6, 32))
    decoder.load_state_dict(build_decoder(seed=1).state_dict())
    assert not decoder.text_cache
