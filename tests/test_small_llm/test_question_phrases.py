"""Vectors of the phrases of questions, of all of their words, and of the objects that are meant."""

import pytest
import torch

from tests.helpers.tiny import build_decoder
from visionllm_mm.models.layers.position_embedding import comparable_embedding
from visionllm_mm.small_llm.question_phrases import QuestionPhrases


@torch.no_grad()
def test_phrases_know_the_order_of_words():
    decoder = build_decoder(hints=dict(num_phrases=2))
    phrases = decoder.hints.phrases
    words, valid = decoder.llm.embed_texts(['Is the star left of the ring?', 'Is the ring left of the star?'])
    assert valid.all()
    tokens = torch.randn(1, 4, 32).expand(2, -1, -1)
    one, other = phrases(words, valid, tokens)
    assert (one - other).norm(dim=1).min() > 1e-3
    pooled = phrases.pool(words, valid)[:, 2]  # all words
    torch.testing.assert_close(pooled[0], pooled[1])
    longer = torch.cat([words, torch.randn_like(words)], dim=1)
    padded = phrases(longer, torch.cat([valid, ~valid], dim=1), tokens)
    torch.testing.assert_close(padded[0], one, atol=1e-5, rtol=1e-5)
    assert phrases(words.repeat(1, 30, 1), valid.repeat(1, 30), tokens).shape == (2, 3, 32)


def test_one_phrase_is_refused():
    with pytest.raises(ValueError, match='num_phrases must be at least 2: .*, got 1'):
        QuestionPhrases(32, num_phrases=1)


@torch.no_grad()
def test_phrases_stand_for_tokens_and_their_number():
    layer = build_decoder(hints=dict(num_phrases=2)).hints.phrases
    words, valid = torch.randn(1, 5, 32), torch.ones(1, 5, dtype=torch.bool)
    tokens = torch.randn(1, 4, 32)
    layer.match = lambda phrases, tokens: torch.tensor([[[99.0, -99.0, 99.0, -99.0], [-99.0] * 4]])
    pooled = layer.pool(words, valid)
    first, second, everything = layer(words, valid, tokens)[0]
    torch.testing.assert_close(first, pooled[0, 0] + layer.kinds[0] + tokens[0, [0, 2]].mean(dim=0) + layer.numbers[2])
    torch.testing.assert_close(second, pooled[0, 1] + layer.kinds[1] + layer.numbers[0])
    differ = layer.where(tokens[0, [0, 2]].mean(dim=0)) - layer.where.bias  # from nothing
    torch.testing.assert_close(everything, pooled[0, 2] + layer.differ(differ))
    # Half a token is halfway between none and one.
    layer.match = lambda phrases, tokens: torch.tensor([[[0.0, -99.0, -99.0, -99.0], [9.0] * 4]])
    torch.testing.assert_close(
        layer(words, valid, tokens)[0, 0],
        pooled[0, 0] + layer.kinds[0] + 0.5 * tokens[0, 0] + (layer.numbers[0] + layer.numbers[1]) / 2,
    )


def _related(first, second):
    """Tokens beside each other at x = 0.0, 0.2, 0.5, 0.9, and how they are related to what phrases stand for."""
    layer = build_decoder(hints=dict(num_phrases=2)).hints.phrases
    words, valid, tokens = torch.randn(1, 5, 32), torch.ones(1, 5, dtype=torch.bool), torch.zeros(1, 4, 32)
    tokens[0, :, 0] = torch.tensor([0.0, 0.2, 0.5, 0.9])
    layer.where.weight.copy_(torch.eye(4, 32))
    layer.match = lambda phrases, tokens: torch.tensor([[first, second]]) * 198.0 - 99.0
    return layer, layer.relate(words, valid, tokens)[0]


@torch.no_grad()
def test_tokens_are_related_to_what_the_second_phrase_stands_for():
    layer, related = _related([1.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0])
    away = torch.tensor([-0.55, -0.35, -0.05, 0.35])
    # The third is the closest of those that the first phrase stands for and the second does not.
    further = torch.tensor([0.5, 0.3, 0.0, 0.3])
    expected = layer.differ(torch.nn.functional.pad(away[:, None], (0, 3))) + layer.further(
        comparable_embedding(further[:, None], 16, octaves=4)
    )
    torch.testing.assert_close(related, expected)
    assert not _related([1.0] * 4, [0.0] * 4)[1].any()


@torch.no_grad()
def test_equal_words_match_best_at_first():
    layer, tokens = QuestionPhrases(32, num_phrases=2), torch.randn(3, 4, 32)
    assert layer.match(tokens[:, 2:3], tokens).argmax(dim=2).tolist() == [[2]] * 3
