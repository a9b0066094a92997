"""The two-pass decoding against the plain one-pass form, forward and gradient (design 3.2)."""

import pytest
import torch

from tests.helpers.tiny import build_decoder, instructions
from visionllm_mm.models.layers.point_places import PointPlaces


def _answers(decoder, num_points, kept, two_pass):
    torch.manual_seed(1)
    inputs = torch.randn(3, 6, 32).requires_grad_()
    asked = instructions(3, num_points)
    if two_pass:
        state = decoder.read(asked, inputs)
        classes, points = decoder.class_logits(state), decoder.point_logits(state, kept, num_points)
    else:
        classes, points = decoder.decode_one_pass(asked, inputs, num_points)
        points = points[torch.arange(3)[:, None], kept]
    (classes.clamp(min=-50).square().sum() + points.square().sum()).backward()
    gradients = {name: p.grad.clone() for name, p in decoder.named_parameters() if p.grad is not None}
    decoder.zero_grad()
    return classes.detach(), points.detach(), inputs.grad, gradients


@pytest.mark.parametrize('num_points', [2, 8, 24])
@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('place_points', [True, False])
def test_equals_one_pass(num_points, training, place_points):
    decoder = build_decoder(place_points=place_points).train(training)
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
    """With ``place_points`` an image of a batch answers for its own number of points."""
    decoder = build_decoder(place_points=True).eval()
    inputs = torch.randn(2, 6, 32)
    kept = torch.tensor([[1, 2], [3, 0]])
    short, long = instructions(1, 8), instructions(1, 24)
    together = decoder.point_logits(decoder.read([*short, *long], inputs), kept, 24)
    alone = decoder.point_logits(decoder.read(short, inputs[:1]), kept[:1], 8)
    torch.testing.assert_close(together[:1, :, :8], alone, atol=1e-5, rtol=1e-5)
    other = decoder.point_logits(decoder.read(long, inputs[:1]), kept[:1], 24)
    assert (together[:1] - other).abs().amax() > 0.1


def test_point_queries_say_what_the_llm_adds_nothing_to():
    decoder = build_decoder(place_points=True).eval()
    inputs, kept, counts = torch.randn(2, 6, 32), torch.tensor([[1, 2], [3, 0]]), torch.tensor([8, 24])
    asked = [*instructions(1, 8), *instructions(1, 24)]
    before = decoder.point_logits(decoder.read(asked, inputs), kept, 24)
    alone = decoder.query_point_logits(inputs[torch.arange(2)[:, None], kept], counts, 24)
    assert alone.shape == before.shape and (alone - before).abs().amax() > 0.1
    for layer in decoder.llm.base.model.layers:
        for part in (layer.self_attn.o_proj, layer.mlp.down_proj):
            torch.nn.init.zeros_(part.weight)
    silent = decoder.point_logits(decoder.read(asked, inputs), kept, 24)
    torch.testing.assert_close(silent, alone, atol=1e-5, rtol=1e-5)


def test_fewer_than_three_points_have_no_outline():
    places = PointPlaces(32, max_points=24)
    torch.nn.init.normal_(places.outline.weight)
    inputs = torch.randn(3, 2, 32)
    embedded = places(inputs, torch.tensor([2, 3, 1]), 3)
    assert not embedded[[0, 2]].any() and embedded[1].abs().min() > 0


def test_point_places_start_as_nothing_and_tell_points_apart():
    places = PointPlaces(32, max_points=24)
    inputs, counts = torch.randn(2, 3, 32), torch.tensor([8, 16])
    assert places(inputs, counts, 16).shape == (2, 3 * 16 * 2, 32)
    assert not places(inputs, counts, 16).any()
    torch.nn.init.normal_(places.projection.weight)
    embedded = places(inputs, counts, 16).unflatten(1, (3, 16, 2))[:, 0, :, 0]
    flat = embedded.flatten(0, 1)[:8].detach()
    assert torch.cdist(flat, flat).add(torch.eye(8) * 9).min() > 1
    # A quarter of the way around is the third of eight points and the fifth of 16; only N differs.
    torch.testing.assert_close(embedded[0, 2] - embedded[0, 0], embedded[1, 4] - embedded[1, 0], atol=1e-4, rtol=1e-4)


def test_point_places_tell_the_outlines_of_tokens_apart():
    places = PointPlaces(32, max_points=24)
    torch.nn.init.normal_(places.outline.weight)
    inputs, counts = torch.randn(1, 2, 32).repeat(2, 1, 1), torch.tensor([8, 8])
    embedded = places(inputs, counts, 8).unflatten(1, (2, 8, 2)).detach()
    torch.testing.assert_close(embedded[0], embedded[1])
    # Two tokens, eight points and two axes: all 32 are different.
    flat = embedded[0].flatten(0, 2)
    assert torch.cdist(flat, flat).add(torch.eye(32) * 9).min() > 1
    # Of one token there is nothing that another brings in.
    alone = places(inputs[:, 1:], counts, 8).unflatten(1, (1, 8, 2))
    torch.testing.assert_close(alone[:, 0], embedded[:, 1])


def test_padding_changes_nothing():
    """An instruction answers alike alone and beside a longer one."""
    decoder = build_decoder().eval()
    inputs = torch.randn(3, 6, 32)
    asked = instructions(3)
    assert len({len(i.text) for i in asked}) > 1
    together = decoder.class_logits(decoder.read(asked, inputs))
    for i in range(3):
        alone = decoder.class_logits(decoder.read(asked[i : i + 1], inputs[i : i + 1]))
        size = len(asked[i].class_names)
        torch.testing.assert_close(together[i, :, :size], alone[0, :, :size], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(together[i, :, -1], alone[0, :, -1], atol=1e-5, rtol=1e-5)


def test_cached_text_equals_uncached():
    decoder = build_decoder().eval()
    inputs = torch.randn(2, 6, 32)
    asked = instructions(1) * 2
    with torch.no_grad():
        first = decoder.class_logits(decoder.read(asked, inputs))
        assert decoder._text_cache
        cached = decoder.class_logits(decoder.read(asked, inputs))
    with torch.enable_grad():
        plain = decoder.class_logits(decoder.read(asked, inputs))
    torch.testing.assert_close(first, plain, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(cached, plain, atol=1e-5, rtol=1e-5)


def test_cache_is_dropped_with_new_weights():
    decoder = build_decoder().eval()
    with torch.no_grad():
        decoder.read(instructions(1), torch.randn(1, 6, 32))
    decoder.load_state_dict(build_decoder(seed=1).state_dict())
    assert not decoder._text_cache
