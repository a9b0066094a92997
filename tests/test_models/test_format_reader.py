"""The LLM's reading of output formats: one pass against token-by-token generation, and against the rules."""

import logging
from dataclasses import replace

import pytest
import torch

from tests.helpers.tiny import VOCABULARY, build_decoder, build_model, instructions
from visionllm_mm.instructions import Vocabulary, parse_instruction, point_format, separate_notation
from visionllm_mm.models.format_reader import FormatReader, format_logits

TEXTS = ['Describe <image> in one sentence.', 'Outline {"star": <c0>} as (c, x1, y1, ..., x8, y8). <image>']


@pytest.fixture(scope='module')
def decoder():
    return build_decoder().eval()


def _always(reader, decisions):
    """A reader whose LLM takes the same decisions for every text."""
    reader.generate = lambda texts: [decisions] * len(texts)
    return reader


@torch.no_grad()
def _generate_by_steps(decoder, instruction):
    """Token by token under the grammar, everything read anew for each token."""
    llm, vocabulary, tokens = decoder.llm, decoder.vocabulary, []
    spaced = replace(instruction, text=separate_notation(instruction.text))
    prefix = decoder.embed_prefix([spaced], torch.zeros(1, 0, llm.embed_dims))

    def logit(token):
        generated = decoder.added_tokens(torch.tensor(vocabulary.format_ids(tuple(tokens)), dtype=torch.long))
        # As the instruction writes them: c, x1, y1 ...
        words = [llm.word_ids('c' if token == '<cls>' else token[1:-1]) for token in tokens]
        names = [llm.embed_words(torch.tensor(ids)).mean(dim=0) for ids in words]
        generated = (generated + torch.stack(names) if names else generated)[None]
        embeddings = torch.cat([prefix.embeddings, generated], dim=1)
        size = embeddings.shape[1]
        hidden, _ = llm(embeddings, torch.ones(1, size, size, dtype=torch.bool).tril(), torch.arange(size)[None])
        if isinstance(token, int):
            return float(llm.word_logits(hidden[0, -1])[token])
        return float(decoder.added_tokens.logits(hidden[:, -1:], torch.tensor([vocabulary.token_id(token)])))

    if logit(llm.start_id) >= logit('<cls>'):
        return ('<bos>',)
    tokens.append('<cls>')
    for k in range(1, vocabulary.max_points + 1):
        tokens += [f'<x{k}>', f'<y{k}>']
        if k == vocabulary.max_points or logit(llm.tokenizer.eos_token_id) >= logit(f'<x{k + 1}>'):
            return tuple(tokens)


@pytest.mark.parametrize('seed', range(4))
def test_one_pass_generates_what_token_by_token_generation_does(seed):
    decoder = build_decoder(seed).eval()
    given = instructions(4)
    # No decoder with random weights begins with <cls> always and ends early; this one is made to.
    decoder.added_tokens.output_rows.data[decoder.vocabulary.token_id('<cls>')] *= 3
    found = FormatReader(decoder, decoder.vocabulary).generate([instruction.text for instruction in given])
    assert found == [_generate_by_steps(decoder, instruction) for instruction in given]


def test_longest_format_ends_and_shorter_ones_have_the_same_decisions(decoder):
    given = instructions(3)
    longest = format_logits(decoder, given, 24)
    assert longest.shape == (3, 25, 2) and (longest[:, -1, 1] < -1e30).all()
    short = format_logits(decoder, given, 2)
    torch.testing.assert_close(short, longest[:, :3], atol=1e-4, rtol=1e-4)


def test_punctuation_at_the_notation_is_read_with_and_without_a_space(decoder):
    texts = (
        'Outline {"star": <c0>}, please: <image>, (c, x1, y1).',
        'Outline {"star": <c0>} , please: <image> , (c, x1, y1) .',
    )
    close, apart = (format_logits(decoder, [parse_instruction(text, decoder.vocabulary)], 3) for text in texts)
    assert torch.equal(close, apart)


def test_batch_mates_do_not_matter(decoder):
    given = [parse_instruction(text, Vocabulary(**VOCABULARY)) for text in TEXTS]
    both = format_logits(decoder, given, 8)
    torch.testing.assert_close(format_logits(decoder, given[:1], 8), both[:1], atol=1e-4, rtol=1e-4)


def test_a_class_set_is_needed_to_answer_with_objects(decoder):
    decoder.added_tokens.output_rows.data[decoder.vocabulary.token_id('<cls>')] *= 100
    assert FormatReader(decoder, decoder.vocabulary).generate(TEXTS[:1]) == [('<bos>',)]


def test_each_text_is_read_once(decoder):
    reader, calls = FormatReader(decoder, decoder.vocabulary, cache_size=1), []
    reader.generate = lambda texts: calls.append(texts) or [('<bos>',)] * len(texts)
    reader([TEXTS[0], TEXTS[0]])
    reader([TEXTS[0]])
    assert calls == [[TEXTS[0]]]
    reader(['Caption <image>.'])
    reader([TEXTS[0]])
    assert len(calls) == 3


def test_disagreement_is_reported_and_the_rules_followed(decoder, caplog):
    reader = _always(FormatReader(decoder, decoder.vocabulary), point_format(4))
    with caplog.at_level(logging.WARNING):
        found = reader(TEXTS[1:])
    assert found[0].num_points == 8 and reader.disagreements == 1
    reader.clear()
    assert reader.disagreements == 0


@pytest.mark.parametrize(
    'text',
    [
        'Find {"a": <c0>} in <image> as (c, x1, y1, x2, y2) or (c, x1, y1, ..., x8, y8).',
        'Find {"a": <c0>} in <image> as (c, x1, y1, ..., x30, y30).',
        'Mark ["a", "b", "c"] of {"star": <c0>} in <image> as (c, x1, y1, x2, y2).',
    ],
)
def test_bad_formats_in_our_notation_are_errors(decoder, text):
    with pytest.raises(ValueError):
        _always(FormatReader(decoder, decoder.vocabulary), point_format(3))([text])


def test_a_format_that_no_rule_reads_is_left_to_the_llm(decoder):
    reader = _always(FormatReader(decoder, decoder.vocabulary), point_format(8))
    found = reader(['Give eight border points of each {"star": <c0>} in <image>.'])[0]
    assert found.num_points == 8 and found.class_names == ('star',) and reader.disagreements == 0


def test_templates_that_no_rule_reads_pass_the_check_where_the_llm_reads(decoder):
    model, text = build_model().eval(), 'Give eight border points of each {"star": <c0>} in <image>.'
    with pytest.raises(ValueError, match='needs one output format'):
        model.check_instructions([text])
    model.format_reader = _always(FormatReader(model.task_decoder, model.vocabulary), point_format(8))
    model.check_instructions([text])
    with pytest.raises(ValueError, match='exactly once'):
        model.check_instructions([text.replace('<image>', '')])
    with pytest.raises(ValueError, match='different ones|has 2'):
        model.check_instructions([text + ' (c, x1, y1) (c, x1, y1, x2, y2)'])
