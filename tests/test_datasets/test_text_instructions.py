"""Instructions that ask for words."""

import numpy as np
import pytest

from visionllm_mm.datasets import (
    CaptionInstruction,
    PackInstructionInputs,
    QuestionInstruction,
)
from visionllm_mm.datasets.transforms import text_instructions
from visionllm_mm.instructions import (
    CAPTION_TEMPLATES,
    QUESTION_TEMPLATES,
    Vocabulary,
    parse_instruction,
)


def _sample(**more):
    return dict(img=np.zeros((8, 8, 3), np.uint8), img_shape=(8, 8), img_path='a.png', img_id=1) | more


def test_captions_are_sampled_while_training(monkeypatch):
    np.random.seed(0)
    monkeypatch.setattr(text_instructions, 'LIMIT_PROB', 0.0)
    transform = CaptionInstruction(training=True)
    sampled = [transform(_sample(gt_caption=['a star', 'one star ', ' '])) for _ in range(150)]
    assert {result['answer'] for result in sampled} == {('a star',), ('one star',)}
    assert {result['instruction'] for result in sampled} == set(CAPTION_TEMPLATES)


def test_stated_lengths_are_true_of_the_captions(monkeypatch):
    np.random.seed(0)
    monkeypatch.setattr(text_instructions, 'LIMIT_PROB', 0.5)
    transform = CaptionInstruction(training=True)
    limits = []
    for _ in range(60):
        result = transform(_sample(gt_caption=['a star', 'a big red star']))
        limits.append(parse_instruction(result['instruction'], Vocabulary()).max_words)
        if limits[-1] is not None:
            assert len(result['answer'][0].split()) <= limits[-1] <= 4 + 3
    assert {2, 4, 7} <= set(limits) and 15 < limits.count(None) < 45
    asked = CaptionInstruction(max_words=5)(_sample())['instruction']
    assert parse_instruction(asked, Vocabulary()).max_words == 5
    with pytest.raises(ValueError, match='max_words must be at least 1, got 0'):
        CaptionInstruction(max_words=0)


def test_evaluation_uses_one_template_and_no_answer():
    result = CaptionInstruction()(_sample(gt_caption=['a star']))
    assert result['instruction'] == CAPTION_TEMPLATES[0] and 'answer' not in result
    asked = QuestionInstruction(template_index=2)(_sample(question='Is there a star?'))
    assert asked['instruction'] == QUESTION_TEMPLATES[2].replace('<question>', 'Is there a star?')
    assert parse_instruction(asked['instruction'], Vocabulary()).asks_for_text


def test_packed_sample_has_what_metrics_need():
    result = QuestionInstruction(training=True)(_sample(question='Why?', gt_caption=['so'], question_type='reason'))
    sample = PackInstructionInputs()(result)['data_samples']
    assert (sample.answer, sample.gt_caption, sample.question_type) == (('so',), ['so'], 'reason')
    assert 'Why?' in sample.instruction


def test_conversations_are_learnt_whole_and_asked_turn_by_turn():
    sample = dict(question='Which shape?', history=('star', 'Which color?'), gt_caption=['red'])
    learnt = QuestionInstruction(training=True)(_sample(**sample))
    assert 'Which shape?' in learnt['instruction'] and 'history' not in learnt
    assert learnt['answer'] == ('star', 'Which color?', 'red')
    asked = QuestionInstruction()(_sample(**sample))
    assert 'Which shape?' in asked['instruction'] and asked['history'] == ('star', 'Which color?')
    packed = PackInstructionInputs()(asked)['data_samples']
    assert packed.history == ('star', 'Which color?') and 'answer' not in packed


def test_shuffled_turns_keep_question_and_answer_together():
    np.random.seed(0)
    said = dict(zip(('Which shape?', 'Which color?', 'How many?'), ('star', 'red', '1'), strict=True))
    transform, seen = QuestionInstruction(training=True, shuffle_turns=True), set()
    for _ in range(60):
        result = transform(
            _sample(question='Which shape?', history=('star', 'Which color?', 'red', 'How many?'), gt_caption=['1'])
        )
        turns = (result['question'], *result['answer'])
        assert dict(zip(turns[::2], turns[1::2], strict=True)) == said and turns[0] in result['instruction']
        seen.add(turns[::2])
    assert len(seen) == 6


@pytest.mark.parametrize('captions', [None, [], ['', '  ']])
def test_training_needs_a_text(captions):
    with pytest.raises(ValueError, match='a.png has no text to learn from'):
        CaptionInstruction(training=True)(_sample(**({} if captions is None else dict(gt_caption=captions))))


@pytest.mark.parametrize(
    'question, message',
    [('  ', 'question is empty'), ('What is in <image>?', 'must not hold <image>'), (None, 'needs a question')],
)
def test_bad_questions_are_errors(question, message):
    with pytest.raises(ValueError, match=message):
        QuestionInstruction()(_sample() if question is None else _sample(question=question))


def test_bad_template_index():
    with pytest.raises(ValueError, match='template_index must be'):
        CaptionInstruction(template_index=99)
