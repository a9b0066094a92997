"""Answers in text: the fast form against the plain one, and beam search against trying everything."""

from itertools import product
from types import SimpleNamespace

import pytest
import torch

from tests.helpers.tiny import VOCABULARY, build_decoder
from visionllm_mm.instructions import Vocabulary, parse_instruction
from visionllm_mm.models import NoHints
from visionllm_mm.models.conversation import find_questions, turn_ids
from visionllm_mm.models.prefix import Prefix
from visionllm_mm.models.query_hints import Question
from visionllm_mm.models.text_decoding import answer_logits, generate
from visionllm_mm.structures import NameSets

TEXTS = ['Describe <image> in one sentence.', 'What color is the star in the picture below? <image>']


@pytest.fixture(scope='module', params=[None, dict(num_phrases=2)], ids=['no hints', 'phrases'])
def given(request):
    """A decoder, instructions that ask for text, and image tokens."""
    torch.manual_seed(3)
    instructions = [parse_instruction(text, Vocabulary(**VOCABULARY)) for text in TEXTS]
    decoder = build_decoder(hints=request.param)
    return decoder.eval(), instructions, torch.randn(2, 4, 32)


def test_questions_are_the_instruction_and_every_second_turn():
    instructions = [parse_instruction(text, Vocabulary(**VOCABULARY)) for text in TEXTS]
    turns = [('a red star', 'How many?', 'one', 'Where?'), ()]
    found = find_questions(instructions, turns, [[3, 9], [5]])  # the last question has no answer yet
    first, second = (instruction.language for instruction in instructions)
    assert found == [Question(0, 3, first), Question(0, 9, 'How many?'), Question(1, 5, second)]


def test_answers_begin_with_as_many_tokens_as_hints_need():
    llm = build_decoder().llm
    begin, end = llm.start_id, llm.tokenizer.eos_token_id
    first, question, second = (llm.word_ids(text) for text in ('a red star', 'How many?', 'one'))
    turns = turn_ids(llm, ('a red star', 'How many?', 'one'), num_answer_tokens=3)
    assert turns.ids == [*[begin] * 3, *first, end, *question, *[begin] * 3, *second, end]
    assert turns.starts == [0, 4 + len(first) + len(question)]
    of_answers = [[False] * 3, [True] * (len(first) + 1), [False] * (len(question) + 3), [True] * (len(second) + 1)]
    assert turns.generated == sum(of_answers, [])


def test_targets_are_the_words_and_the_end(given):
    decoder, instructions, inputs = given
    logits, targets = answer_logits(decoder, instructions, inputs, [['a red star'], ['red']])
    llm = decoder.llm
    words, end = llm.word_ids('a red star'), llm.tokenizer.eos_token_id
    begin = [-100] * (decoder.hints.num_answer_tokens - 1)
    assert targets[0].tolist() == [*begin, *words, end]
    padding = [-100] * (len(words) - len(llm.word_ids('red')))
    assert targets[1].tolist() == [*begin, *llm.word_ids('red'), end, *padding]
    assert logits.shape == (*targets.shape, len(llm.tokenizer)) and logits.dtype == torch.float32


def test_a_word_sees_only_what_stands_before_it(given):
    decoder, instructions, inputs = given
    first, _ = answer_logits(decoder, instructions, inputs, [['a red star'], ['one ring']])
    second, _ = answer_logits(decoder, instructions, inputs, [['a red circle'], ['one ring']])
    same = len(decoder.llm.word_ids('a red')) + decoder.hints.num_answer_tokens
    torch.testing.assert_close(first[0, :same], second[0, :same], atol=1e-4, rtol=1e-4)
    assert (first[0, same] - second[0, same]).abs().max() > 1e-2


def test_images_of_a_batch_do_not_mix(given):
    decoder, instructions, inputs = given
    both, _ = answer_logits(decoder, instructions, inputs, [['a star'], ['a star']])
    alone, _ = answer_logits(decoder, instructions[1:], inputs[1:], [['a star']])
    torch.testing.assert_close(both[1:], alone, atol=1e-4, rtol=1e-4)
    together = generate(decoder, instructions, inputs, max_length=6, num_beams=3)
    assert together == [
        generate(decoder, instructions[i : i + 1], inputs[i : i + 1], max_length=6, num_beams=3)[0] for i in range(2)
    ]


def test_all_answers_of_a_conversation_are_targets(given):
    decoder, instructions, inputs = given
    llm, turns = decoder.llm, ('a red star', 'How many?', 'one')
    logits, targets = answer_logits(decoder, instructions[:1], inputs[:1], [turns])
    end = llm.tokenizer.eos_token_id
    first, question, second = (llm.word_ids(text) for text in turns)
    # At the last <bos> of the second answer its first word is wanted; the question's own words are not.
    begin = [-100] * decoder.hints.num_answer_tokens
    assert targets[0].tolist() == [*begin[1:], *first, end, *[-100] * len(question), *begin, *second, end]
    alone, _ = answer_logits(decoder, instructions[:1], inputs[:1], [turns[:1]])
    torch.testing.assert_close(logits[:, : alone.shape[1]], alone, atol=1e-4, rtol=1e-4)


def test_a_question_is_answered_as_the_conversation_was_learned(given):
    """What went before is read as part of the prefix; the answer's logits are those of teacher forcing."""
    decoder, instructions, inputs = given
    history = ('a red star', 'How many are there?')
    found = generate(decoder, instructions, inputs, histories=[history, ()], max_length=1)
    assert found[1] == generate(decoder, instructions[1:], inputs[1:], max_length=1)[0]
    logits, _ = answer_logits(decoder, instructions[:1], inputs[:1], [(*history, 'one')])
    first = logits.shape[1] - len(decoder.llm.word_ids('one')) - 1
    assert found[0] == decoder.llm.tokenizer.decode([int(logits[0, first].argmax())])


def test_a_conversation_too_long_for_the_llm_loses_its_last_turns(given, monkeypatch):
    decoder, instructions, inputs = given
    turns = ('a red star', 'How many?', 'one', 'Where?', 'left')
    short, _ = answer_logits(decoder, instructions[:1], inputs[:1], [turns[:3]])
    room = len(turn_ids(decoder.llm, turns, decoder.hints.num_answer_tokens).ids) - 1
    prefix = decoder.prefix_builder.length(instructions[0], 4)
    monkeypatch.setattr(decoder.llm.base.config, 'max_position_embeddings', prefix + room)
    torch.testing.assert_close(answer_logits(decoder, instructions[:1], inputs[:1], [turns])[0], short)
    # A long text with a short answer, beside a short one whose answer takes all the room.
    long = parse_instruction('Look closely. ' * 12 + TEXTS[1], decoder.vocabulary)
    answer = turn_ids(decoder.llm, ['red'], decoder.hints.num_answer_tokens).ids
    limit = decoder.prefix_builder.length(long, 4) + len(answer)
    monkeypatch.setattr(decoder.llm.base.config, 'max_position_embeddings', limit)
    answer_logits(decoder, [long, instructions[0]], inputs, [['red'], ['a red star ' * 8]])
    monkeypatch.setattr(decoder.llm.base.config, 'max_position_embeddings', prefix + 1)
    with pytest.raises(ValueError, match='but the LLM has'):
        answer_logits(decoder, instructions[:1], inputs[:1], [turns])


@torch.no_grad()
def _next_word_without_cache(decoder, instruction, inputs, generated):
    """Log-probabilities of the word behind those that were generated; everything is read anew."""
    llm, begin = decoder.llm, [decoder.llm.start_id] * decoder.hints.num_answer_tokens
    prefix, tokens = decoder.embed_prefix([instruction], inputs), torch.tensor([[*begin, *generated]])
    words = decoder.hints.answer_prefix(llm.embed_words(tokens), [Question(0, 0, instruction.language)], inputs)
    embeddings = torch.cat([prefix.embeddings, words], dim=1)
    size, start = embeddings.shape[1], int(prefix.image_starts)
    mask = torch.ones(1, size, size, dtype=torch.bool).tril()
    mask[0, start : start + 4, start : start + 4] = True
    hidden, _ = llm(embeddings, mask, torch.arange(size)[None])
    return llm.word_logits(hidden[0, -1]).log_softmax(dim=0)


def _greedy_without_cache(decoder, instruction, inputs, max_length):
    generated, end = [], decoder.llm.tokenizer.eos_token_id
    while len(generated) < max_length:
        word = int(_next_word_without_cache(decoder, instruction, inputs, generated).argmax())
        if word == end:
            break
        generated.append(word)
    return decoder.llm.tokenizer.decode(generated, skip_special_tokens=True).strip()


def _beams_without_cache(decoder, instruction, inputs, max_length, width):
    going_on, finished, end = [(0.0, [])], [], decoder.llm.tokenizer.eos_token_id
    for _ in range(max_length):
        tried = [
            (score + more, [*generated, word])
            for score, generated in going_on
            for word, more in enumerate(_next_word_without_cache(decoder, instruction, inputs, generated).tolist())
        ]
        best = sorted(tried, reverse=True)[: 2 * width]
        finished += [
            (score / len(generated), generated[:-1]) for score, generated in best[:width] if generated[-1] == end
        ]
        going_on = [(score, generated) for score, generated in best if generated[-1] != end][:width]
    finished += [(score / len(generated), generated) for score, generated in going_on]
    return decoder.llm.tokenizer.decode(max(finished)[1], skip_special_tokens=True)


def test_cached_beams_equal_reading_everything_anew(given):
    decoder, instructions, inputs = given
    found = generate(decoder, instructions, inputs, max_length=5, num_beams=3)
    assert found == [_beams_without_cache(decoder, instructions[i], inputs[i : i + 1], 5, 3) for i in range(2)]
    assert found != generate(decoder, instructions, inputs, max_length=5), 'else a greedy search would do'


def test_cached_greedy_equals_reading_everything_anew(given):
    decoder, instructions, inputs = given
    found = generate(decoder, instructions, inputs, max_length=8)
    assert found == [_greedy_without_cache(decoder, instructions[i], inputs[i : i + 1], 8) for i in range(2)]
    assert len(set(found)) == 2 and all(found)


class _Table:
    """Stands for decoder and LLM: the next word depends on the last one alone, by a table of logits."""

    def __init__(self, table):
        self.table = table
        self.llm = self
        self.hints = NoHints()
        self.tokenizer = SimpleNamespace(
            bos_token_id=0, eos_token_id=1, decode=lambda ids, **_: ' '.join(map(str, ids))
        )

    start_id = 0

    def embed_prefix(self, instructions, inputs, answer_length=None, histories=None):
        batch = len(instructions)
        nothing = torch.zeros(batch, 0, dtype=torch.long)
        return Prefix(
            embeddings=torch.zeros(batch, 2, 1),
            lengths=torch.full((batch,), 2),
            image_starts=torch.zeros(batch, dtype=torch.long),
            class_ids=nothing,
            names=NameSets(torch.zeros(batch, 0, 1), nothing.bool()),
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
    table[:, 0] = -torch.inf  # <bos> is never generated
    log_probs, limit = table.log_softmax(dim=-1), 4

    def score(words):
        path = [0, *words, 1] if len(words) < limit else [0, *words]  # an answer of the limit's length is cut
        return (
            sum(log_probs[a, b].item() for a, b in zip(path, path[1:], strict=False)) / len(path[1:]) ** length_penalty
        )

    answers = [words for n in range(limit + 1) for words in product((2, 3, 4), repeat=n)]
    questions = [SimpleNamespace(max_words=None, language='What?')]
    found = generate(
        _Table(table), questions, torch.zeros(1, 0, 1), max_length=limit, num_beams=40, length_penalty=length_penalty
    )[0]
    assert found == ' '.join(map(str, max(answers, key=score)))


def test_greedy_search_ends_with_the_first_end():
    table = torch.full((5, 5), -9.0)
    table[0, 2] = 3.0  # <bos> 2, and then the end (1) rather than 3 ...
    table[2, 1], table[2, 3] = 1.0, 0.8
    table[3, 1] = 9.0  # ... though behind 3 the end is certain, so that "2 3" has the better mean
    questions = [SimpleNamespace(max_words=None, language='What?')]
    assert generate(_Table(table), questions, torch.zeros(1, 0, 1), max_length=5) == ['2']
    assert generate(_Table(table), questions, torch.zeros(1, 0, 1), max_length=5, num_beams=3) == ['2 3']


def test_answers_end_at_the_limit():
    table = torch.full((5, 5), -5.0)
    table[:, 3] = 5.0  # generates 3 for ever
    for beams in (1, 3):
        questions = [SimpleNamespace(max_words=limit, language='What?') for limit in (None, 2)]
        found = generate(_Table(table), questions, torch.zeros(2, 0, 1), max_length=4, num_beams=beams)
        assert found[0].startswith('3 3 3') and len(found[0].split()) <= 4 and found[1] == '3 3'


def test_answer_must_fit_into_the_context(given):
    decoder, instructions, inputs = given
    with pytest.raises(ValueError, match='the LLM has 2048'):
        generate(decoder, instructions, inputs, max_length=2048)
