"""The LLM's prefix: where words, named class tokens and image tokens stand."""

import pytest
import torch

from tests.helpers.tiny import VOCABULARY, build_decoder
from visionllm_mm.instructions import Vocabulary, parse_instruction

FORMAT = 'as (c, x1, y1, x2, y2)'


def _parse(text):
    return parse_instruction(text, Vocabulary(**VOCABULARY))


def _by_hand(decoder, instruction, token_inputs):
    """The prefix of one instruction, piece by piece."""
    llm, rows = decoder.llm, [decoder.llm.embed_words(torch.tensor(decoder.llm.tokenizer.bos_token_id))[None]]
    rest = instruction.text
    while rest:
        marks = ['<image>', *(f'<c{k}>' for k in instruction.class_indices)]
        at, mark = min(((rest.find(m), m) for m in marks if m in rest), default=(len(rest), ''))
        if at:
            rows.append(llm.embed_words(torch.tensor(llm.word_ids(rest[:at]))))
        if mark == '<image>':
            rows.append(token_inputs)
        elif mark:
            k = int(mark[2:-1])
            name = instruction.class_names[instruction.class_indices.index(k)]
            mean = llm.embed_words(torch.tensor(llm.word_ids(name))).mean(dim=0)
            rows.append((decoder.added_tokens.embedding.weight[k] + mean)[None])
        rest = rest[at + len(mark) :]
    return torch.cat(rows)


TEXTS = [
    f'Find {{"circle": <c0>, "red star": <c1>}} {FORMAT} in <image>',
    f'<image><c5> is {{"ring": <c5>}} {FORMAT}',
    f'In <image> look for {{"big cross": <c3>, "a": <c1>, "b": <c0>}} {FORMAT}; do not mix up <c3> and <c0>.',
]


def test_prefix_is_what_it_is_by_hand():
    decoder = build_decoder()
    parsed, inputs = [_parse(text) for text in TEXTS], torch.randn(3, 4, 32)
    prefix = decoder.embed_prefix(parsed, inputs)
    for i, instruction in enumerate(parsed):
        expected = _by_hand(decoder, instruction, inputs[i])
        assert prefix.lengths[i] == len(expected)
        torch.testing.assert_close(prefix.embeddings[i, : len(expected)], expected)
        start = prefix.image_starts[i]
        torch.testing.assert_close(prefix.embeddings[i, start : start + 4], inputs[i])
    assert prefix.valid.sum(dim=1).tolist() == prefix.lengths.tolist()


def test_class_ids_and_names_follow_the_set():
    decoder = build_decoder()
    prefix = decoder.embed_prefix([_parse(text) for text in TEXTS], torch.zeros(3, 4, 32))
    assert prefix.class_ids[prefix.names.class_valid].tolist() == [0, 1, 5, 3, 1, 0]
    assert prefix.names.class_valid.tolist() == [[True, True, False], [True, False, False], [True, True, True]]
    assert (prefix.names.name_embeddings[~prefix.names.class_valid] == 0).all()
    words = torch.tensor(decoder.llm.word_ids('big cross'))
    assert len(words) > 1
    torch.testing.assert_close(prefix.names.name_embeddings[2, 0], decoder.llm.embed_words(words).mean(dim=0))


def test_answers_follow_the_class_tokens_rows():
    """Class tokens are names for rows: with rows exchanged along with the tokens, nothing changes."""
    decoder = build_decoder().eval()
    inputs = torch.randn(1, 4, 32)
    first = decoder.class_logits(decoder.read([_parse(TEXTS[0])], inputs))
    for table in (decoder.added_tokens.embedding.weight.data, decoder.added_tokens.output_rows.data):
        table[[0, 1, 6, 7]] = table[[6, 7, 0, 1]]
    renamed = TEXTS[0].replace('<c0>', '<c6>').replace('<c1>', '<c7>')
    torch.testing.assert_close(decoder.class_logits(decoder.read([_parse(renamed)], inputs)), first)
    assert (decoder.class_logits(decoder.read([_parse(TEXTS[0])], inputs)) - first).abs().max() > 1e-2


def test_logits_stand_in_the_order_of_the_set():
    """The column of a class is its position in the set, whatever number its token has."""
    decoder = build_decoder().eval()
    parsed = _parse(f'{{"a": <c4>, "b": <c2>}} {FORMAT} in <image>')
    state = decoder.read([parsed], torch.randn(1, 4, 32))
    rows = decoder.added_tokens.output_rows[[4, 2, Vocabulary(**VOCABULARY).none_id]]
    torch.testing.assert_close(decoder.class_logits(state), state.class_hidden @ rows.T)


def test_exchanged_names_exchange_what_the_class_tokens_mean():
    """Only the name's words and its mean depend on the name: E[ck] stays with its position."""
    decoder = build_decoder()
    texts = [f'{{"circle": <c0>, "star": <c1>}} {FORMAT} <image>', f'{{"star": <c0>, "circle": <c1>}} {FORMAT} <image>']
    first, second = (decoder.embed_prefix([_parse(text)], torch.zeros(1, 2, 32)) for text in texts)
    torch.testing.assert_close(second.names.name_embeddings[0], first.names.name_embeddings[0].flip(0))
    torch.testing.assert_close(first.class_ids, second.class_ids)
    sums = first.embeddings[0].sum(dim=0), second.embeddings[0].sum(dim=0)
    torch.testing.assert_close(*sums, atol=1e-4, rtol=1e-4)
    assert (first.embeddings - second.embeddings).abs().max() > 0.1


def test_name_embeddings_train_the_words():
    decoder = build_decoder().train()
    prefix = decoder.embed_prefix([_parse(TEXTS[1])], torch.zeros(1, 2, 32))
    prefix.names.name_embeddings.sum().backward()
    gradient = decoder.llm.base.model.embed_tokens.weight.grad.abs().sum(dim=1)
    assert set(gradient.nonzero().flatten().tolist()) == set(decoder.llm.word_ids('ring'))


def test_name_without_tokens_is_an_error(monkeypatch):
    decoder = build_decoder()
    plain = decoder.llm.word_ids
    monkeypatch.setattr(decoder.llm, 'word_ids', lambda text: [] if text == 'ring' else plain(text))
    with pytest.raises(ValueError, match="no token for the class name 'ring'"):
        decoder.embed_prefix([_parse(TEXTS[1])], torch.zeros(1, 2, 32))


@pytest.mark.parametrize('name', ['Größe', '星', 'a "quoted" name', 'back\\slash', '🙂'])
def test_any_name_can_be_embedded(name):
    import json

    decoder = build_decoder()
    parsed = _parse(f'{{{json.dumps(name)}: <c0>}} {FORMAT} <image>')
    assert parsed.class_names == (name,)
    assert decoder.embed_prefix([parsed], torch.zeros(1, 2, 32)).names.name_embeddings.isfinite().all()
