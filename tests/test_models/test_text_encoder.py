"""Text encoder: padding, caching, loading, and texts it can't take."""

import pytest
import torch
from transformers import BertConfig, BertModel

from tests.helpers.tiny import save_llama
from visionllm_mm.models import TextEncoder

CONFIG = dict(
    hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, max_position_embeddings=64
)
TEXTS = ['a red star', 'every circle and every ring of the picture, please']


def _encoder(seed=0, **changes) -> TextEncoder:
    torch.manual_seed(seed)
    return TextEncoder(**(dict(tokenizer='builtin', config=CONFIG) | changes)).eval()


def test_features_of_a_batch_are_those_of_each_text():
    encoder = _encoder()
    features, padding = encoder(TEXTS)
    assert features.shape[:2] == padding.shape and padding.dtype == torch.bool
    for i, text in enumerate(TEXTS):
        alone, nothing = encoder([text])
        assert not nothing.any() and (~padding[i]).sum() == alone.shape[1]
        torch.testing.assert_close(features[i, ~padding[i]], alone[0], atol=1e-5, rtol=1e-5)


def test_cache_answers_like_the_encoder():
    encoder = _encoder()
    with torch.no_grad():
        first, _ = encoder([TEXTS[0]])
        kept, padding = encoder([TEXTS[0]] * 3)
        plain, _ = encoder._encode([TEXTS[0]])
    assert kept.shape[0] == len(padding) == 3
    torch.testing.assert_close(first, plain)
    torch.testing.assert_close(kept, plain.expand(3, -1, -1))


def test_cache_computes_an_instruction_once(monkeypatch):
    encoder, calls = _encoder(cache_size=2), []
    plain = encoder._encode
    monkeypatch.setattr(encoder, '_encode', lambda texts: calls.append(texts) or plain(texts))
    with torch.no_grad():
        for text in ('a', 'b', 'a', 'b', 'c', 'b'):
            encoder([text, text])
    assert calls == [['a'], ['b'], ['c']]
    assert len(encoder._cache) == 2


def test_training_and_gradients_go_past_the_cache():
    encoder = _encoder()
    with torch.no_grad():
        encoder(['a circle'])
    features, _ = encoder(['a circle'])
    features.square().mul(torch.arange(32)).sum().backward()
    assert encoder.encoder.embeddings.word_embeddings.weight.grad.abs().max() > 0


@pytest.mark.parametrize('change', ['train', 'load'])
def test_cache_is_dropped_where_weights_may_change(change):
    encoder, other = _encoder(), _encoder(seed=1)
    with torch.no_grad():
        encoder(['a circle'])
        if change == 'train':
            encoder.train()
            for mine, theirs in zip(encoder.parameters(), other.parameters(), strict=True):
                mine.copy_(theirs)
            encoder.eval()
        else:
            encoder.load_state_dict(other.state_dict())
        torch.testing.assert_close(encoder(['a circle'])[0], other(['a circle'])[0])


def test_longest_text_that_fits_passes_and_one_more_word_is_an_error():
    encoder = _encoder()
    longest = ' '.join(['circle'] * 64)
    assert encoder([longest])[0].shape[1] == 64
    with pytest.raises(ValueError, match='has 65 tokens, but the text encoder takes 64.*fewer classes.*circle circle'):
        encoder(['short', longest + ' circle'])


def test_loads_a_bert_folder(tmp_path):
    (tmp_path / 'vocab.txt').write_text('\n'.join(['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', 'red', 'star']))
    torch.manual_seed(0)
    saved = BertModel(BertConfig(vocab_size=8, **CONFIG)).eval()
    saved.save_pretrained(tmp_path)
    encoder = TextEncoder(path=str(tmp_path)).eval()
    assert encoder.embed_dims == 32 and encoder.max_length == 64
    ids = torch.tensor([[2, 5, 6, 7, 3]])
    torch.testing.assert_close(encoder(['a red star'])[0], saved(input_ids=ids).last_hidden_state)


@pytest.mark.parametrize(
    'arguments, error, message',
    [
        (dict(path='/no/such/folder', config=CONFIG), FileNotFoundError, '/no/such/folder'),
        (dict(path='/no/such/folder', tokenizer='builtin'), FileNotFoundError, 'no folder /no/such/folder.*AutoModel'),
        (dict(config=CONFIG), ValueError, "tokenizer='builtin'"),
        (dict(config=CONFIG, tokenizer='/no/tokenizer.json'), FileNotFoundError, '/no/tokenizer.json does not exist'),
        (dict(config=CONFIG, path='x', tokenizer='builtin'), ValueError, 'either path= .* or config='),
    ],
)
def test_bad_sources_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        TextEncoder(**arguments)


def test_folder_without_weights_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        TextEncoder(path=str(tmp_path), tokenizer='builtin')


def test_other_kinds_of_models_are_refused(tmp_path):
    save_llama(tmp_path)
    with pytest.raises(ValueError, match=f"'{tmp_path}' is no text encoder of BERT's architecture"):
        TextEncoder(path=str(tmp_path))
