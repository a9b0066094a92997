"""The text-only warm-up as a function of a decoder."""

import pytest
import torch

from tests.helpers.tiny import build_decoder
from visionllm_mm.small_llm.warmups import warm_up_on_text

SETTINGS = dict(num_tokens=3, num_iters=2, batch_size=2, lr=1e-3, noise=0.5, seed=0)


def _weights(decoder):
    return {name: p.detach().clone() for name, p in decoder.named_parameters()}


def test_same_seed_same_weights():
    results = []
    for seed in (0, 0, 1):
        decoder = build_decoder()
        warm_up_on_text(decoder, **SETTINGS | dict(seed=seed))
        results.append(_weights(decoder))
    first, again, other = results
    for name in first:
        torch.testing.assert_close(again[name], first[name])
    assert any((other[name] - first[name]).abs().max() > 1e-5 for name in first)


def test_random_numbers_of_the_training_are_not_touched():
    torch.manual_seed(7)
    expected = torch.rand(3)
    decoder = build_decoder()
    torch.manual_seed(7)
    warm_up_on_text(decoder, **SETTINGS)
    torch.testing.assert_close(torch.rand(3), expected)


def test_frozen_weights_stay_as_they_are():
    decoder = build_decoder(freeze=True)
    before = _weights(decoder)
    warm_up_on_text(decoder, **SETTINGS)
    changed = {name for name, p in decoder.named_parameters() if not torch.equal(p, before[name])}
    assert 'added_tokens.embedding.weight' in changed
    assert not [name for name in changed if name.startswith('llm.')]
    assert all(p.grad is None for p in decoder.parameters())


def test_a_tokenizer_without_whole_words_is_named(monkeypatch):
    decoder = build_decoder()
    decoder.llm.tokenizer.name_or_path = '/llms/bytes'
    monkeypatch.setattr(type(decoder.llm), 'plain_words', lambda llm: {})
    with pytest.raises(
        ValueError, match="of the LLM, '/llms/bytes', has no word .* as one token.*LLM=.*--warmup-iters 0"
    ):
        warm_up_on_text(decoder, **SETTINGS)


@pytest.mark.parametrize('num_iters', [0, 1])
def test_hardly_any_step_is_no_error(num_iters):
    assert 0 <= warm_up_on_text(build_decoder(), **SETTINGS | dict(num_iters=num_iters)) <= 1
