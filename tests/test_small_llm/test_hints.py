"""Hints for small LLMs: what is added to the inputs of the LLM, and to nothing else."""

import pytest
import torch

from tests.helpers.tiny import VOCABULARY, build_decoder, instructions
from visionllm_mm.instructions import Vocabulary, parse_instruction
from visionllm_mm.models import NoHints
from visionllm_mm.models.conversation import find_questions, turn_ids
from visionllm_mm.models.query_hints import Question
from visionllm_mm.models.text_decoding import answer_logits, generate

TEXTS = ['Describe <image> in one sentence.', 'What color is the star in the picture below? <image>']


def _instructions():
    return [parse_instruction(text, Vocabulary(**VOCABULARY)) for text in TEXTS]


def _calls(hints, inputs, queries, points, embeddings):
    """What hints make of the inputs, call by call."""
    return (
        hints.image_tokens(inputs, torch.rand(inputs.shape[:2])),
        hints.class_queries(queries, instructions(2, names=['star left of the ring']), inputs),
        hints.point_queries(points, inputs, torch.tensor([8, 3]), 8),
        hints.answer_prefix(embeddings, [Question(1, 2, 'How many?')], inputs),
    )


@torch.no_grad()
@pytest.mark.parametrize(
    'hints', [None, {}, dict(num_phrases=0, point_places=False, objectness=False)], ids=['NoHints', 'default', 'off']
)
def test_without_options_nothing_changes(hints):
    hints = build_decoder(hints=hints).hints
    given = torch.randn(2, 4, 32), torch.randn(2, 4, 32), torch.randn(2, 4 * 2 * 8, 32), torch.randn(2, 9, 32)
    assert all(found is before for found, before in zip(_calls(hints, *given), given, strict=True))
    assert hints.num_answer_tokens == 1 and not list(hints.parameters())


def test_the_hints_of_the_paper_need_no_llm():
    assert not list(NoHints().parameters()) and NoHints().num_answer_tokens == 1


@torch.no_grad()
def test_each_option_changes_its_inputs_alone():
    options = [dict(objectness=True), dict(num_phrases=2), dict(point_places=True)]
    given = torch.randn(2, 4, 32), torch.randn(2, 4, 32), torch.randn(2, 4 * 2 * 8, 32), torch.randn(2, 9, 32)
    changed = []
    for option in options:
        hints = build_decoder(hints=option).hints
        for parameter in hints.parameters():
            torch.nn.init.normal_(parameter)
        found = _calls(hints, *given)
        changed.append([not torch.equal(*pair) for pair in zip(found, given, strict=True)])
    assert changed == [[True, False, False, False], [False, True, False, True], [False, False, True, False]]


def test_objectness_starts_as_nothing():
    hints = build_decoder(hints=dict(objectness=True)).hints
    inputs, objectness = torch.randn(2, 5, 32), torch.rand(2, 5)
    torch.testing.assert_close(hints.image_tokens(inputs, objectness), inputs)  # nothing until it is trained
    torch.nn.init.normal_(hints.objectness)
    added = hints.image_tokens(inputs, objectness) - inputs
    torch.testing.assert_close(added, objectness[..., None] * hints.objectness)


@torch.no_grad()
def test_class_queries_of_a_single_name_state_how_tokens_are_related_to_it():
    decoder = build_decoder(hints=dict(num_phrases=2))
    hints, expression = decoder.hints, 'star left of the ring'
    given = [*instructions(1), *instructions(1, names=[expression])]
    assert [len(instruction.class_names) for instruction in given] == [2, 1]
    queries, inputs = torch.randn(2, 4, 32), torch.randn(2, 4, 32)
    added = hints.class_queries(queries, given, inputs) - queries
    related = hints.phrases.relate(*decoder.llm.embed_texts([expression]), inputs[1:])
    assert not added[0].any() and related.abs().max() > 0.1
    torch.testing.assert_close(added[1:], related, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_an_answer_begins_with_its_question():
    decoder = build_decoder(hints=dict(num_phrases=2))
    hints, llm = decoder.hints, decoder.llm
    hints.phrases.attention.zero_()
    hints.phrases.differ.weight.zero_()  # all words are then their mean
    turns = ('a red star', 'How many?', 'one')
    ids, _, starts = turn_ids(llm, turns, hints.num_answer_tokens)
    words, tokens = llm.embed_words(torch.tensor([ids])), torch.zeros(1, 3, llm.embed_dims)
    instruction = parse_instruction('Look at <image>. What?', decoder.vocabulary)
    questions = find_questions([instruction], [turns], [starts])
    added = hints.answer_prefix(words, questions, tokens) - words
    for start, text in zip(starts, ('Look at . What?', 'How many?'), strict=True):
        question = llm.embed_words(torch.tensor(llm.word_ids(text)))
        found = torch.cosine_similarity(added[0, start + 2], question.mean(dim=0), dim=0).item()
        torch.testing.assert_close(found, 1.0)
        phrases = hints.phrases(question[None], torch.ones(1, len(question), dtype=torch.bool), tokens)[0]
        torch.testing.assert_close(added[0, start : start + 3], phrases, atol=1e-5, rtol=1e-5)
        added[0, start : start + 3] = 0
    assert not added.any()
    # A text without a word that the tokenizer knows adds nothing; one word that is attended to stands for all.
    assert torch.equal(
        hints.answer_prefix(words, [question._replace(text='') for question in questions], tokens), words
    )
    hints.phrases.attention.copy_(10 * question[0])
    added = hints.answer_prefix(words, questions[1:], tokens) - words
    torch.testing.assert_close(torch.cosine_similarity(added[0, starts[1] + 2], question[0], dim=0).item(), 1.0)


@pytest.mark.parametrize('num_phrases', [2, 3])
def test_phrases_are_read_alike_while_learning_and_answering(num_phrases):
    torch.manual_seed(3)
    decoder = build_decoder(hints=dict(num_phrases=num_phrases)).eval()
    given, inputs = _instructions(), torch.randn(2, 4, 32)
    history = ('a red star', 'How many are there?')
    found = generate(decoder, given, inputs, histories=[history, ()], max_length=1)
    for row, turns in ((0, (*history, 'one')), (1, ('one',))):
        logits, targets = answer_logits(decoder, given[row : row + 1], inputs[row : row + 1], [turns])
        answers = [decoder.llm.word_ids(text) for text in turns[::2]]
        end = decoder.llm.tokenizer.eos_token_id
        assert targets[targets >= 0].tolist() == [word for words in answers for word in (*words, end)]
        first = logits.shape[1] - len(answers[-1]) - 1
        assert found[row] == decoder.llm.tokenizer.decode([int(logits[0, first].argmax())])


def test_questions_are_learned():
    decoder = build_decoder(hints=dict(num_phrases=2))
    logits, _ = answer_logits(decoder, _instructions(), torch.randn(2, 4, 32), [['a red star'], ['one ring']])
    logits.square().mean().backward()
    assert decoder.hints.phrases.attention.grad.abs().max() > 0


def test_weights_that_were_trained_without_objectness_fit():
    plain, more = build_decoder().eval(), build_decoder(seed=1, hints=dict(objectness=True)).eval()
    assert set(more.load_state_dict(plain.state_dict(), strict=False).missing_keys) == {'hints.objectness'}
    inputs = torch.randn(2, 4, 32)
    given = more.hints.image_tokens(inputs, torch.rand(2, 4))
    logits = [decoder.class_logits(decoder.read(instructions(2), x)) for decoder, x in ((plain, inputs), (more, given))]
    torch.testing.assert_close(*logits)
