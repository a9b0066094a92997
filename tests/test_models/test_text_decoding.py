"""Answers in words: the fast form against the plain one, and beam search against trying everything."""

from itertools import product
from types import SimpleNamespace

import pytest
import torch

from tests.helpers.tiny import VOCABULARY, build_decoder
from visionllm_mm.instructions import Vocabulary, parse_instruction
from visionllm_mm.models.layers.asked_words import AskedWords
from visionllm_mm.models.layers.position_embedding import comparable_embedding
from visionllm_mm.models.prefix import Prefix
from visionllm_mm.models.task_decoder import asked_texts
from visionllm_mm.models.text_decoding import answer_logits, generate

TEXTS = ['Describe <image> in one sentence.', 'What color is the star in the picture below? <image>']


@pytest.fixture(scope='module', params=[False, True], ids=['plain', 'start_with_question'])
def asked(request):
    torch.manual_seed(3)
    instructions = [parse_instruction(text, Vocabulary(**VOCABULARY)) for text in TEXTS]
    decoder = build_decoder(start_with_question=request.param)
    return decoder.eval(), instructions, torch.randn(2, 4, 32)


def test_targets_are_the_words_and_the_end(asked):
    decoder, instructions, inputs = asked
    logits, targets = answer_logits(decoder, instructions, inputs, [['a red star'], ['red']])
    llm = decoder.llm
    words, end = llm.word_ids('a red star'), llm.tokenizer.eos_token_id
    assert targets[0].tolist() == [*words, end]
    assert targets[1].tolist() == [*llm.word_ids('red'), end] + [-100] * (len(words) - len(llm.word_ids('red')))
    assert logits.shape == (*targets.shape, len(llm.tokenizer)) and logits.dtype == torch.float32


def test_a_word_sees_only_what_was_said_before(asked):
    decoder, instructions, inputs = asked
    first, _ = answer_logits(decoder, instructions, inputs, [['a red star'], ['one ring']])
    second, _ = answer_logits(decoder, instructions, inputs, [['a red circle'], ['one ring']])
    same = len(decoder.llm.word_ids('a red')) + 1
    torch.testing.assert_close(first[0, :same], second[0, :same], atol=1e-4, rtol=1e-4)
    assert (first[0, same] - second[0, same]).abs().max() > 1e-2


def test_images_of_a_batch_do_not_mix(asked):
    decoder, instructions, inputs = asked
    both, _ = answer_logits(decoder, instructions, inputs, [['a star'], ['a star']])
    alone, _ = answer_logits(decoder, instructions[1:], inputs[1:], [['a star']])
    torch.testing.assert_close(both[1:], alone, atol=1e-4, rtol=1e-4)
    together = generate(decoder, instructions, inputs, max_length=6, num_beams=3)
    assert together == [
        generate(decoder, instructions[i : i + 1], inputs[i : i + 1], max_length=6, num_beams=3)[0] for i in range(2)
    ]


def test_all_answers_of_a_conversation_are_targets(asked):
    decoder, instructions, inputs = asked
    llm, turns = decoder.llm, ('a red star', 'How many?', 'one')
    logits, targets = answer_logits(decoder, instructions[:1], inputs[:1], [turns])
    end = llm.tokenizer.eos_token_id
    first, question, second = (llm.word_ids(text) for text in turns)
    # At <bos> of the second answer its first word is wanted; the question's own words are not.
    assert targets[0].tolist() == [*first, end, *[-100] * (len(question) + 1), *second, end]
    alone, _ = answer_logits(decoder, instructions[:1], inputs[:1], [turns[:1]])
    torch.testing.assert_close(logits[:, : alone.shape[1]], alone, atol=1e-4, rtol=1e-4)


def test_a_question_is_answered_as_the_conversation_was_learnt(asked):
    """What was said before is read as part of the prefix; the answer's logits are those of teacher forcing."""
    decoder, instructions, inputs = asked
    history = ('a red star', 'How many are there?')
    found = generate(decoder, instructions, inputs, histories=[history, ()], max_length=1)
    assert found[1] == generate(decoder, instructions[1:], inputs[1:], max_length=1)[0]
    logits, _ = answer_logits(decoder, instructions[:1], inputs[:1], [(*history, 'one')])
    first = logits.shape[1] - len(decoder.llm.word_ids('one')) - 1
    assert found[0] == decoder.llm.tokenizer.decode([int(logits[0, first].argmax())])


def test_a_conversation_too_long_for_the_llm_loses_its_last_turns(asked, monkeypatch):
    decoder, instructions, inputs = asked
    turns = ('a red star', 'How many?', 'one', 'Where?', 'left')
    short, _ = answer_logits(decoder, instructions[:1], inputs[:1], [turns[:3]])
    room = len(decoder.llm.turn_ids(turns, decoder.num_starts)[0]) - 1
    prefix = decoder.prefix_builder.length(instructions[0], 4)
    monkeypatch.setattr(decoder.llm.base.config, 'max_position_embeddings', prefix + room)
    torch.testing.assert_close(answer_logits(decoder, instructions[:1], inputs[:1], [turns])[0], short)
    # A long text with a short answer, beside a short one whose answer takes all the room.
    long = parse_instruction('Look closely. ' * 12 + TEXTS[1], decoder.vocabulary)
    limit = decoder.prefix_builder.length(long, 4) + len(decoder.llm.turn_ids(['red'], decoder.num_starts)[0])
    monkeypatch.setattr(decoder.llm.base.config, 'max_position_embeddings', limit)
    answer_logits(decoder, [long, instructions[0]], inputs, [['red'], ['a red star ' * 8]])
    monkeypatch.setattr(decoder.llm.base.config, 'max_position_embeddings', prefix + 1)
    with pytest.raises(ValueError, match='but the LLM has'):
        answer_logits(decoder, instructions[:1], inputs[:1], [turns])


@torch.no_grad()
def _next_word_without_cache(decoder, instruction, inputs, said):
    """Log-probabilities of the word behind those that were said; everything is read anew."""
    llm = decoder.llm
    prefix, tokens = decoder.embed_prefix([instruction], inputs), torch.tensor([[llm.start_id, *said]])
    words = decoder.add_asked(llm.embed_words(tokens), [[0]], asked_texts([instruction], [()]), inputs)
    embeddings = torch.cat([prefix.embeddings, words], dim=1)
    size, start = embeddings.shape[1], int(prefix.image_starts)
    mask = torch.ones(1, size, size, dtype=torch.bool).tril()
    mask[0, start : start + 4, start : start + 4] = True
    hidden, _ = llm(embeddings, mask, torch.arange(size)[None])
    return llm.word_logits(hidden[0, -1]).log_softmax(dim=0)


def _greedy_without_cache(decoder, instruction, inputs, max_length):
    said, end = [], decoder.llm.tokenizer.eos_token_id
    while len(said) < max_length:
        word = int(_next_word_without_cache(decoder, instruction, inputs, said).argmax())
        if word == end:
            break
        said.append(word)
    return decoder.llm.tokenizer.decode(said, skip_special_tokens=True).strip()


def _beams_without_cache(decoder, instruction, inputs, max_length, width):
    going_on, finished, end = [(0.0, [])], [], decoder.llm.tokenizer.eos_token_id
    for _ in range(max_length):
        tried = [
            (score + more, [*said, word])
            for score, said in going_on
            for word, more in enumerate(_next_word_without_cache(decoder, instruction, inputs, said).tolist())
        ]
        best = sorted(tried, reverse=True)[: 2 * width]
        finished += [(score / len(said), said[:-1]) for score, said in best[:width] if said[-1] == end]
        going_on = [(score, said) for score, said in best if said[-1] != end][:width]
    finished += [(score / len(said), said) for score, said in going_on]
    return decoder.llm.tokenizer.decode(max(finished)[1], skip_special_tokens=True)


def test_cached_beams_equal_reading_everything_anew(asked):
    decoder, instructions, inputs = asked
    found = generate(decoder, instructions, inputs, max_length=5, num_beams=3)
    assert found == [_beams_without_cache(decoder, instructions[i], inputs[i : i + 1], 5, 3) for i in range(2)]
    assert found != generate(decoder, instructions, inputs, max_length=5), 'else a greedy search would do'


def test_cached_greedy_equals_reading_everything_anew(asked):
    decoder, instructions, inputs = asked
    found = generate(decoder, instructions, inputs, max_length=8)
    assert found == [_greedy_without_cache(decoder, instructions[i], inputs[i : i + 1], 8) for i in range(2)]
    assert len(set(found)) == 2 and all(found)


@torch.no_grad()
def test_an_answer_begins_with_what_was_asked():
    decoder = build_decoder(start_with_question=True)
    decoder.asked_words.attention.zero_()
    turns = ('a red star', 'How many?', 'one')
    ids, _, starts = decoder.llm.turn_ids(turns)
    words, tokens = decoder.llm.embed_words(torch.tensor([ids])), torch.zeros(1, 3, decoder.llm.embed_dims)
    instruction = parse_instruction('Look at <image>. What?', decoder.vocabulary)
    added = decoder.add_asked(words, [starts], asked_texts([instruction], [turns]), tokens) - words
    for start, text in zip(starts, ('Look at . What?', 'How many?'), strict=True):
        question = decoder.llm.embed_words(torch.tensor(decoder.llm.word_ids(text)))
        torch.testing.assert_close(torch.cosine_similarity(added[0, start], question.mean(dim=0), dim=0).item(), 1.0)
        added[0, start] = 0
    assert not added.any()
    # A text without a word that the tokenizer knows adds nothing; one word that is attended to stands for all.
    assert torch.equal(decoder.add_asked(words, [starts], [['', '']], tokens), words)
    decoder.asked_words.attention.copy_(10 * question[0])
    added = decoder.add_asked(words, [starts[1:]], [['How many?']], tokens) - words
    torch.testing.assert_close(torch.cosine_similarity(added[0, starts[1]], question[0], dim=0).item(), 1.0)


@pytest.mark.parametrize('phrases', [0, 2])
def test_phrases_are_read_alike_while_learning_and_answering(asked, phrases):
    _, instructions, inputs = asked
    decoder = build_decoder(start_with_question=True, asked_phrases=phrases).eval()
    history = ('a red star', 'How many are there?')
    found = generate(decoder, instructions, inputs, histories=[history, ()], max_length=1)
    for row, turns in ((0, (*history, 'one')), (1, ('one',))):
        logits, targets = answer_logits(decoder, instructions[row : row + 1], inputs[row : row + 1], [turns])
        said = [decoder.llm.word_ids(text) for text in turns[::2]]
        end = decoder.llm.tokenizer.eos_token_id
        assert targets[targets >= 0].tolist() == [word for words in said for word in (*words, end)]
        first = logits.shape[1] - len(said[-1]) - 1
        assert found[row] == decoder.llm.tokenizer.decode([int(logits[0, first].argmax())])


@torch.no_grad()
def test_phrases_know_the_order_of_words():
    decoder = build_decoder(start_with_question=True, asked_phrases=2)
    texts = ['Is the star left of the ring?', 'Is the ring left of the star?']
    words = decoder.llm.embed_words(torch.tensor([decoder.llm.word_ids(text) for text in texts]))
    valid = torch.ones(words.shape[:2], dtype=torch.bool)
    tokens = torch.randn(1, 4, 32).expand(2, -1, -1)
    one, other = decoder.asked_words(words, valid, tokens)
    assert (one - other).norm(dim=1).min() > 1e-3
    pooled = decoder.asked_words.pool(words, valid)[:, 2]  # all words
    torch.testing.assert_close(pooled[0], pooled[1])
    longer = torch.cat([words, torch.randn_like(words)], dim=1)
    padded = decoder.asked_words(longer, torch.cat([valid, ~valid], dim=1), tokens)
    torch.testing.assert_close(padded[0], one, atol=1e-5, rtol=1e-5)
    assert decoder.asked_words(words.repeat(1, 30, 1), valid.repeat(1, 30), tokens).shape == (2, 3, 32)
    with pytest.raises(ValueError, match='asked_phrases=2 needs start_with_question=True'):
        build_decoder(asked_phrases=2)
    with pytest.raises(ValueError, match='asked_phrases must be 0 or at least 2: .*, got 1'):
        build_decoder(start_with_question=True, asked_phrases=1)


@torch.no_grad()
def test_phrases_stand_for_tokens_and_their_number():
    layer = build_decoder(start_with_question=True, asked_phrases=2).asked_words
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
    layer = build_decoder(start_with_question=True, asked_phrases=2).asked_words
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
    layer, tokens = AskedWords(32, num_phrases=2), torch.randn(3, 4, 32)
    assert layer.match(tokens[:, 2:3], tokens).argmax(dim=2).tolist() == [[2]] * 3


def test_what_was_asked_is_learnt(asked):
    _, instructions, inputs = asked
    decoder = build_decoder(start_with_question=True)
    logits, _ = answer_logits(decoder, instructions, inputs, [['a red star'], ['one ring']])
    logits.square().mean().backward()
    assert decoder.asked_words.attention.grad.abs().max() > 0


class _Table:
    """Stands for decoder and LLM: the next word depends on the last one alone, by a table of logits."""

    def __init__(self, table):
        self.table = table
        self.llm = self
        self.num_starts = 1
        self.add_asked = lambda embeddings, starts, asked, token_inputs: embeddings
        self.tokenizer = SimpleNamespace(
            bos_token_id=0, eos_token_id=1, decode=lambda ids, **_: ' '.join(map(str, ids))
        )

    start_id = 0

    def embed_prefix(self, instructions, inputs, answer_length=None, histories=None):
        batch = len(instructions)
        nothing = torch.zeros(batch, 0, dtype=torch.long)
        return Prefix(
            torch.zeros(batch, 2, 1),
            torch.full((batch,), 2),
            torch.zeros(batch, dtype=torch.long),
            nothing,
            nothing.bool(),
            torch.zeros(batch, 0, 1),
        )

    def continue_prefix(self, prefix, num_tokens, queries):
        read = torch.cat([prefix.embeddings, queries], dim=1)
        return read, [(read, read)]

    def embed_words(self, ids):
        return ids[..., None].float()

    def word_logits(self, hidden):
        return self.table[hidden[..., 0].long()]

    def __call__(self, embeddings, mask, positions, past=None):
        assert mask.shape[1:] == (embeddings.shape[1], positions.max() + 1)
        before = past[0][0] if past else embeddings.new_zeros(len(embeddings), 0, 1)
        keys = torch.cat([before, embeddings], dim=1)
        return embeddings, [(keys, keys)]


@pytest.mark.parametrize('seed', range(6))
@pytest.mark.parametrize('length_penalty', [0.0, 1.0])
def test_wide_beam_search_finds_the_best_of_all_answers(seed, length_penalty):
    generator = torch.Generator().manual_seed(seed)
    table = 2 * torch.randn(5, 5, generator=generator)
    table[:, 0] = -torch.inf  # <bos> is never said
    log_probs, limit = table.log_softmax(dim=-1), 4

    def score(words):
        path = [0, *words, 1] if len(words) < limit else [0, *words]  # an answer of the limit's length is cut
        return (
            sum(log_probs[a, b].item() for a, b in zip(path, path[1:], strict=False)) / len(path[1:]) ** length_penalty
        )

    answers = [words for n in range(limit + 1) for words in product((2, 3, 4), repeat=n)]
    asked = [SimpleNamespace(max_words=None, language='What?')]
    found = generate(
        _Table(table), asked, torch.zeros(1, 0, 1), max_length=limit, num_beams=40, length_penalty=length_penalty
    )[0]
    assert found == ' '.join(map(str, max(answers, key=score)))


def test_greedy_search_ends_with_the_first_end():
    table = torch.full((5, 5), -9.0)
    table[0, 2] = 3.0  # <bos> 2, and then the end (1) rather than 3 ...
    table[2, 1], table[2, 3] = 1.0, 0.8
    table[3, 1] = 9.0  # ... though behind 3 the end is certain, so that "2 3" has the better mean
    asked = [SimpleNamespace(max_words=None, language='What?')]
    assert generate(_Table(table), asked, torch.zeros(1, 0, 1), max_length=5) == ['2']
    assert generate(_Table(table), asked, torch.zeros(1, 0, 1), max_length=5, num_beams=3) == ['2 3']


def test_answers_end_at_the_limit():
    table = torch.full((5, 5), -5.0)
    table[:, 3] = 5.0  # says 3 for ever
    for beams in (1, 3):
        asked = [SimpleNamespace(max_words=limit, language='What?') for limit in (None, 2)]
        found = generate(_Table(table), asked, torch.zeros(2, 0, 1), max_length=4, num_beams=beams)
        assert found[0].startswith('3 3 3') and len(found[0].split()) <= 4 and found[1] == '3 3'


def test_answer_must_fit_into_the_context(asked):
    decoder, instructions, inputs = asked
    with pytest.raises(ValueError, match='the LLM has 2048'):
        generate(decoder, instructions, inputs, max_length=2048)
