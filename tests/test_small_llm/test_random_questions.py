"""Expressions and questions made from what is known of objects."""

import re
from collections import Counter

import numpy as np
import pytest
from mmdet.structures.bbox import HorizontalBoxes

from visionllm_mm.small_llm import RandomQuestions, RandomRelation

NAMES = ['red star', 'blue star', 'blue ring']
BOXES = {'red star': [0, 0, 10, 10], 'blue star': [20, 30, 40, 50], 'blue ring': [60, 20, 66, 26]}
# Of each name, the objects that it is true of.
KINDS = {
    'object': set(NAMES),
    'star': {'red star', 'blue star'},
    'blue object': {'blue star', 'blue ring'},
    'red object': {'red star'},
    'ring': {'blue ring'},
} | {name: {name} for name in NAMES}
ORDER = {
    'left of': ['red star', 'blue star', 'blue ring'],
    'above': ['red star', 'blue ring', 'blue star'],
    'smaller than': ['blue ring', 'red star', 'blue star'],
}
# Per anchor, the others from the closest on; centres are (5, 5), (30, 40) and (63, 23).
CLOSEST = {
    'red star': ['blue star', 'blue ring'],
    'blue star': ['blue ring', 'red star'],
    'blue ring': ['blue star', 'red star'],
}
ORDER |= {'right of': ORDER['left of'][::-1], 'below': ORDER['above'][::-1], 'larger than': ORDER['smaller than'][::-1]}


def _sample(labels=(2, 0, 1), names=NAMES):
    boxes = np.array([BOXES[names[label]] for label in labels], dtype=np.float32).reshape(-1, 4)
    return dict(
        text='the first of all',
        described=(True,) + (False,) * (len(labels) - 1),
        question='What is this?',
        history=(),
        gt_caption=['a star'],
        object_names=names,
        gt_bboxes=HorizontalBoxes(boxes),
        gt_bboxes_labels=np.array(labels),
    )


def test_expressions_are_true_of_what_they_describe():
    np.random.seed(0)
    transform, seen, relations = RandomRelation(prob=1.0), set(), Counter()
    for _ in range(600):
        result = transform(_sample())
        relation = next(word for word in (*ORDER, 'closest to') if f' {word} the ' in result['text'])
        kind, anchor = result['text'].removeprefix('the ').split(f' {relation} the ')
        assert len(KINDS[anchor]) == 1, 'the anchor must be the only one of its name'
        if relation == 'closest to':
            before = [name for name in CLOSEST[next(iter(KINDS[anchor]))] if name in KINDS[kind]][:1]
        else:
            before = ORDER[relation][: ORDER[relation].index(*KINDS[anchor])]
        relations[relation] += 1
        assert result['described'] == tuple(NAMES[i] in before and NAMES[i] in KINDS[kind] for i in (2, 0, 1))
        (first, rows), (second, row) = result['question_phrases'][0]
        assert (first, second) == (kind, anchor) and {NAMES[(2, 0, 1)[i]] for i in row} == KINDS[anchor]
        assert {NAMES[(2, 0, 1)[i]] for i in rows} == KINDS[kind]
        seen.add(result['text'])
    assert len(seen) > 100
    assert min(relations[word] for word in ORDER) > 40 and 150 < relations['closest to'] < 250
    assert {kind for kind in KINDS if any(text.startswith(f'the {kind} ') for text in seen)} == set(KINDS)


@pytest.mark.parametrize('labels, prob', [((0,), 1.0), ((), 1.0), ((1, 1), 1.0), ((0, 1, 2), 0.0)])
def test_samples_without_a_relation_stay_as_they_are(labels, prob):
    result = RandomRelation(prob=prob)(_sample(labels))
    assert result['text'] == 'the first of all' and result['described'] == _sample(labels)['described']


def _answer(question):
    """The answer to a question about the objects of NAMES."""
    singular = {f'{kind}s': len(names) for kind, names in KINDS.items()} | {'objects': len(NAMES)}
    if question.startswith('How many '):
        return str(singular[question.removeprefix('How many ').removesuffix(' are there?')])
    if question.startswith('Are there more '):
        first, second = question.removeprefix('Are there more ').removesuffix('?').split(' than ')
        return 'yes' if singular[first] > singular[second] else 'no'
    relation = next(word for word in ORDER if f' {word} the ' in question)
    first, second = question.removeprefix('Is the ').removesuffix('?').split(f' {relation} the ')
    order = ORDER[relation]
    return 'yes' if order.index(*KINDS[first]) < order.index(*KINDS[second]) else 'no'


def test_questions_have_true_answers():
    np.random.seed(0)
    transform, seen = RandomQuestions(prob=1.0), {}
    for _ in range(200):
        result = transform(_sample())
        turns = [result['question'], *result['history'], *result['gt_caption']]
        assert 2 <= len(turns) <= 12 and len(turns) % 2 == 0 and len(set(turns[::2])) == len(turns) // 2
        seen.update(zip(turns[::2], turns[1::2], strict=True))
        for question, phrases in zip(turns[::2], result['question_phrases'], strict=True):
            found = re.match(
                r'Is the (.+) (?:left|right|above|below|larger|smaller).* the (.+)\?|'
                r'Are there more (.+) than (.+)\?|How many (.+) are there\?',
                question,
            )
            assert [words for words, _ in phrases] == [words for words in found.groups() if words]
            for words, rows in phrases:
                kind = words if words in KINDS else words.removesuffix('s')
                assert {NAMES[(2, 0, 1)[row]] for row in rows} == KINDS[kind] and len(rows) == len(KINDS[kind])
    assert seen == {question: _answer(question) for question in seen}
    starts = {question.split(' the ')[0] if question.startswith('Is') else question[:9] for question in seen}
    assert starts == {'Is', 'How many ', 'Are there'}
    assert sum(answer == 'yes' for answer in seen.values()) > 20 < sum(answer == 'no' for answer in seen.values())


def test_counts_and_plurals():
    np.random.seed(0)
    transform = RandomQuestions(prob=1.0, plurals=dict(star='stars of heaven'), kinds=['count'], num_turns=1)
    asked = {}
    for _ in range(200):
        result = transform(_sample((0, 0)))
        (((words, rows),),), answer = result['question_phrases'], result['gt_caption'][0]
        assert result['question'] == f'How many {words} are there?' and answer == str(len(rows))
        asked[words] = answer
    assert asked == {
        'objects': '2',
        'red objects': '2',
        'stars of heaven': '2',
        'red stars of heaven': '2',
        'blue objects': '0',
        'rings': '0',
        'blue rings': '0',
        'blue stars of heaven': '0',
    }


@pytest.mark.parametrize(
    'kind, start',
    [
        ('place', 'Is the .+ (left of|right of|above|below) the '),
        ('size', 'Is the .+ (larger|smaller) than the '),
        ('more', 'Are there more '),
        ('count', 'How many '),
        ('exists', 'Is there a '),
        ('part', 'What (color is the (star|ring)|shape is the (red|blue) object)'),
    ],
)
def test_kinds_of_questions(kind, start):
    np.random.seed(0)
    transform = RandomQuestions(prob=1.0, kinds=[kind], num_turns=10, parts=('color', 'shape'))
    results = [transform(_sample()) for _ in range(20)]
    questions = [
        text
        for result in results
        if 'question_phrases' in result
        for text in (result['question'], *result['history'][1::2])
    ]
    assert len(questions) > 10 and all(re.match(start, question) for question in questions)


def test_unknown_kind_of_question():
    with pytest.raises(ValueError, match=r"kinds must be some of \['place', .*'part'\], got \['where'\]"):
        RandomQuestions(kinds=['where'])


def _sampled(kind, labels=(2, 0, 1), names=NAMES, **kwargs):
    """Question -> answer and phrases, of all that are sampled of one kind."""
    np.random.seed(0)
    transform = RandomQuestions(prob=1.0, kinds=[kind], num_turns=1, **kwargs)
    results = [transform(_sample(labels, names)) for _ in range(200)]
    return {
        result['question']: (result['gt_caption'][0], *result['question_phrases'])
        for result in results
        if 'question_phrases' in result
    }


def test_parts_of_names():
    assert _sampled('part', parts=('color', 'shape')) == {
        'What color is the ring?': ('blue', (('ring', (0,)),)),
        'What shape is the red object?': ('star', (('red object', (1,)),)),
    }
    assert not _sampled('part', labels=(0, 0), parts=('color', 'shape')), 'of two that are alike none is meant'


def test_existence():
    sampled = _sampled('exists', labels=(0, 1))
    assert sampled['Is there a star?'] == ('yes', (('star', (0, 1)),))
    assert sampled['Is there a red object?'] == ('yes', (('red object', (0,)),))
    assert sampled['Is there a blue ring?'] == ('no', (('blue ring', ()),))
    assert {question.removeprefix('Is there a ')[:-1] for question in sampled} == {*KINDS} - {'object'}
    assert 'Is there an ant?' in _sampled('exists', labels=(), names=('ant',))


@pytest.mark.parametrize('wrong', [dict(), dict(parts=('color',))])
def test_parts_need_their_names(wrong):
    with pytest.raises(ValueError, match="the kind 'part' needs two parts"):
        RandomQuestions(kinds=['part'], **wrong)


def test_nothing_to_ask_about():
    transform = RandomQuestions(prob=1.0, kinds=['place', 'size', 'more'])
    assert transform(_sample(()))['question'] == 'What is this?'
    assert RandomQuestions(prob=0.0)(_sample())['question'] == 'What is this?'


@pytest.mark.parametrize('transform', [RandomRelation, RandomQuestions])
def test_crowds_are_neither_counted_nor_meant(transform):
    sample = _sample() | dict(gt_ignore_flags=np.array([False, True, False]))
    result = transform(prob=1.0)(sample)
    assert result['text'] == 'the first of all' and result['question'] == 'What is this?'


@pytest.mark.parametrize('transform', [RandomRelation, RandomQuestions])
def test_bad_probability(transform):
    with pytest.raises(ValueError, match=f'{transform.__name__}: prob must lie within 0 .. 1, got 1.5'):
        transform(prob=1.5)
