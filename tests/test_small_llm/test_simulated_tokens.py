"""Image tokens made from lists of objects, and an LLM that learns from them."""

from itertools import count

import pytest
import torch
from mmdet.structures import DetDataSample

from tests.helpers.tiny import LLM, VOCABULARY, build_decoder
from visionllm_mm.instructions import (
    CAPTION_TEMPLATES,
    GROUNDING_TEMPLATES,
    Vocabulary,
    build_instruction,
    parse_instruction,
    point_format,
)
from visionllm_mm.models import CausalLM, OpenEndedTaskDecoder
from visionllm_mm.models.text_decoding import generate
from visionllm_mm.small_llm.phrase_loss import PhraseLoss
from visionllm_mm.small_llm.simulated_tokens import (
    DescribedImages,
    describe,
    warm_up_on_descriptions,
)
from visionllm_mm.small_llm.warmups import train_steps
from visionllm_mm.structures import SetTargets

NAMES = ['star', 'red ring', 'circle']


def _target(classes, corners, asked=None):
    boxes = torch.tensor(corners, dtype=torch.float32).reshape(-1, 2, 2)
    return SetTargets(
        torch.tensor(classes, dtype=torch.long), boxes[:, :0], torch.tensor([10.0, 20.0]), boxes[:0], boxes, asked
    )


@torch.no_grad()
def test_objects_stand_at_their_slots_with_their_names_and_places():
    decoder = build_decoder()
    target = _target([1, 0], [[[0.1, 0.2], [0.3, 0.6]], [[0.5, 0.5], [0.7, 0.9]]])
    slots = [torch.tensor([3, 1]), torch.tensor([], dtype=torch.long)]
    tokens = describe(
        decoder, [NAMES, NAMES], [target, _target([], [])], slots, ['heart'], 5, 0.0, torch.Generator().manual_seed(0)
    )
    assert tokens.shape == (2, 5, 32)
    names = decoder.prefix_builder.embed_names([NAMES]).name_embeddings[0]
    projector = decoder.projector
    for slot, row, center in ((3, 1, [0.2, 0.4]), (1, 0, [0.6, 0.7])):
        expected = projector.normalize(names[row]) + projector.project_place(torch.tensor(center))
        assert (tokens[0, slot] - expected).norm() < 1e-5
    others = projector.normalize(decoder.llm.embed_words(torch.tensor(decoder.llm.word_ids('heart'))))
    # Elsewhere there are other words, at places as long as they are.
    assert (tokens[1] - others).norm(dim=-1) == pytest.approx(projector.scale.item(), rel=1e-4)


@torch.no_grad()
def test_repeated_objects_say_that_they_are_none():
    decoder = build_decoder(tell_objectness=True)
    decoder.projector.objectness.copy_(torch.eye(32)[0] * 1000)  # drowns all else in the first feature
    target = _target([1], [[[0.4, 0.4], [0.6, 0.6]]])
    generator = torch.Generator().manual_seed(0)
    tokens = describe(decoder, [NAMES] * 40, [target] * 40, [torch.tensor([2])] * 40, ['heart'], 7, 0.0, generator)
    is_object = torch.arange(7) == 2
    assert (tokens[:, is_object, 0] > 150).all() and (tokens[:, ~is_object, 0] < 150).all()
    name = decoder.prefix_builder.embed_names([NAMES]).name_embeddings[0, 1]
    content = decoder.projector.normalize(name)[1:]
    # A place is as long as a content, so what is closer than that has the content of the object.
    length = decoder.projector.scale.item()
    repeats = ((tokens[:, ~is_object, 1:] - content).norm(dim=-1) < 1.05 * length).float().mean()
    assert 0.05 < repeats < 0.35


def test_more_objects_than_tokens():
    corners = [[[0.1, 0.2], [0.3, 0.6]]] * 4
    tokens = describe(
        build_decoder(),
        [NAMES],
        [_target([0, 1, 2, 0], corners)],
        [torch.tensor([2, 0, 1])],
        ['heart'],
        3,
        0.3,
        torch.Generator().manual_seed(0),
    )
    assert tokens.shape == (1, 3, 32) and tokens.isfinite().all()


def _batches(size=8):
    rng = torch.Generator().manual_seed(0)
    for _ in count():
        samples, targets = [], []
        for _ in range(size):
            label = int(torch.randint(len(NAMES), (1,), generator=rng))
            samples.append(
                DetDataSample(
                    metainfo=dict(instruction=CAPTION_TEMPLATES[0], answer=(f'a {NAMES[label]}',), object_names=NAMES)
                )
            )
            targets.append(_target([label], [[[0.1, 0.2], [0.3, 0.6]]]))
        yield DescribedImages(samples, targets)


def _build_learner():
    """A decoder with weights as an LLM starts with, unlike those of the other tests."""
    torch.manual_seed(0)
    llm = CausalLM(**(LLM | dict(config=LLM['config'] | dict(initializer_range=0.18))))
    return OpenEndedTaskDecoder(llm=llm, vocabulary=Vocabulary(**VOCABULARY), token_dims=16)


def test_the_llm_learns_to_name_what_it_is_told():
    decoder, said = _build_learner(), []
    warm_up_on_descriptions(
        decoder,
        _batches(),
        num_tokens=3,
        num_iters=200,
        lr=5e-3,
        noise=0.1,
        seed=0,
        report=lambda step, loss: said.append((step, loss)),
    )
    assert [step for step, _ in said] == [100, 200] and said[1][1] < 0.1 < said[0][1]
    assert all(weight.grad is None for weight in decoder.parameters())
    batch = next(_batches())
    tokens = describe(
        decoder.eval(),
        [NAMES] * 8,
        batch.objects,
        [torch.tensor([1])] * 8,
        ['heart'],
        3,
        0.0,
        torch.Generator().manual_seed(1),
    )
    asked = [parse_instruction(sample.instruction, decoder.vocabulary) for sample in batch.samples]
    assert generate(decoder, asked, tokens, max_length=5) == [sample.answer[0] for sample in batch.samples]


def _expressions(size=8):
    """Two objects, of which one is described by its name."""
    rng = torch.Generator().manual_seed(0)
    while True:
        samples, targets = [], []
        for _ in range(size):
            labels = torch.randperm(len(NAMES), generator=rng)[:2]
            text = build_instruction(
                GROUNDING_TEMPLATES[0], [f'the {NAMES[labels[1]]}'], point_format(2), Vocabulary(**VOCABULARY)
            )
            samples.append(DetDataSample(metainfo=dict(instruction=text, object_names=NAMES)))
            targets.append(
                _target(labels.tolist(), [[[0.1, 0.2], [0.3, 0.6]], [[0.5, 0.5], [0.7, 0.9]]], torch.tensor([-1, 0]))
            )
        yield DescribedImages(samples, targets)


@torch.no_grad()
def test_the_llm_learns_which_object_is_meant():
    decoder = _build_learner()
    with torch.enable_grad():
        warm_up_on_descriptions(decoder, _expressions(), num_tokens=4, num_iters=300, lr=5e-3, noise=0.1, seed=0)
    batch = next(_expressions(16))
    slots = [torch.tensor([0, 2])] * 16
    tokens = describe(
        decoder.eval(), [NAMES] * 16, batch.objects, slots, ['heart'], 4, 0.0, torch.Generator().manual_seed(1)
    )
    asked = [parse_instruction(sample.instruction, decoder.vocabulary) for sample in batch.samples]
    logits = decoder.class_logits(decoder.read(asked, tokens))
    assert ((logits[..., 0] - logits[..., 1]).argmax(dim=1) == 2).float().mean() > 0.9


def _comparisons(size=8):
    """Two objects side by side, and whether the first is left of the second."""
    rng = torch.Generator().manual_seed(0)
    while True:
        samples, targets = [], []
        for _ in range(size):
            first, second = torch.randperm(len(NAMES), generator=rng)[:2].tolist()
            x = torch.rand(2, generator=rng).tolist()
            corners = [[[0.8 * left, 0.4], [0.8 * left + 0.2, 0.6]] for left in x]
            question = f'Is the {NAMES[first]} left of the {NAMES[second]}?'
            samples.append(
                DetDataSample(
                    metainfo=dict(
                        instruction=f'{question} <image>',
                        object_names=NAMES,
                        answer=('yes' if x[0] < x[1] else 'no',),
                        question_phrases=[((NAMES[first], (0,)), (NAMES[second], (1,)))],
                    )
                )
            )
            targets.append(_target([first, second], corners))
        yield DescribedImages(samples, targets)


def test_phrases_find_what_a_question_compares():
    torch.manual_seed(0)
    decoder = build_decoder(start_with_question=True, asked_phrases=2)
    batches, generator, slots = _comparisons(), torch.Generator().manual_seed(0), [torch.tensor([2, 0])] * 8

    def loss(batch):
        tokens = describe(decoder, [NAMES] * 8, batch.objects, slots, ['heart'], 3, 0.0, generator)
        return tokens, PhraseLoss()(decoder, batch.samples, tokens, slots, batch.objects)

    list(train_steps(decoder, lambda: loss(next(batches))[1], 200, 5e-3))
    batch = next(batches)
    tokens, after = loss(batch)
    assert float(after.detach()) < 0.2
    words = decoder.embed_questions([decoder.llm.word_ids(sample.instruction[:-8]) for sample in batch.samples])
    found = decoder.asked_words.match(decoder.asked_words.pool(*words)[:, :-1], tokens) > 0
    assert (found == torch.tensor([[False, False, True], [True, False, False]])).float().mean() > 0.95


@torch.no_grad()
def test_phrases_of_several_objects_and_of_none():
    decoder = build_decoder(start_with_question=True, asked_phrases=2)
    sample = DetDataSample(
        metainfo=dict(
            instruction='How many stars are there? <image>',
            object_names=NAMES,
            answer=('2', 'Are there more stars than circles?', 'yes'),
            question_phrases=[(('stars', (0, 1)),), (('stars', (0, 1)), ('circles', ()))],
        )
    )
    asked = []

    def match(phrases, tokens):
        asked.append(tokens)
        return torch.tensor([[[9.0, -9.0, 9.0]], [[9.0, -9.0, 9.0]], [[-9.0, -9.0, -9.0]]])

    def loss(slots, corners):
        target = _target([0] * len(corners), corners)
        return float(PhraseLoss()(decoder, [sample], tokens, [torch.tensor(slots, dtype=torch.long)], [target]))

    decoder.asked_words.match = match
    decoder.asked_words.where.weight.zero_()
    decoder.asked_words.where.bias.copy_(torch.tensor([0.2, 0.3, 0.4, 0.6]))
    tokens = torch.randn(1, 3, decoder.llm.embed_dims)
    found = [[0.0, 0.0], [0.4, 0.6]]
    right = loss([2, 0], [found, found])
    assert torch.equal(asked[0], tokens.expand(3, -1, -1))
    # Two of three phrases miss one token and invent one.
    assert loss([1, 0], [found, found]) - right == pytest.approx(9 * 4 / 9, abs=1e-3)
    # An object without a token has no place.
    aside = [[0.1, 0.0], [0.5, 0.6]]
    assert loss([2, 0], [found, aside]) - right == pytest.approx(0.1 / 8, abs=1e-5)
    assert loss([2, -1], [found, aside]) == pytest.approx(loss([2, -1], [found, found]), abs=1e-6)
    assert loss([], []) > 0  # the words are there


def test_phrases_that_no_answer_begins_with_are_not_taught():
    with pytest.raises(ValueError, match='set task_decoder.asked_phrases to 2 or more'):
        warm_up_on_descriptions(
            build_decoder(start_with_question=True),
            _comparisons(),
            num_tokens=4,
            num_iters=1,
            lr=1e-3,
            noise=0.1,
            seed=0,
            phrase_weight=5.0,
        )


def test_batches_that_compare_nothing_have_no_such_loss():
    decoder = build_decoder(start_with_question=True, asked_phrases=2)
    for batches in (_batches(), _expressions()):
        batch = next(batches)
        tokens = torch.zeros(len(batch.samples), 4, decoder.llm.embed_dims)
        assert PhraseLoss()(decoder, batch.samples, tokens, [], []) == 0
        warm_up_on_descriptions(
            decoder, batches, num_tokens=4, num_iters=2, lr=1e-3, noise=0.1, seed=0, phrase_weight=5.0
        )


def _is_meant(x, relation):
    """Which of the objects at x are left of the first, or closest to it."""
    if relation == 'left of':
        return [left < x[0] for left in x]
    away = [abs(left - x[0]) for left in x]
    return [distance == min(away[1:]) for distance in away]


def _relations(relation, size=8):
    """Three objects, and which of them are in relation to the first."""
    rng = torch.Generator().manual_seed(0)
    while True:
        samples, targets = [], []
        for _ in range(size):
            order = torch.randperm(len(NAMES), generator=rng)[:3].tolist()
            x = torch.rand(3, generator=rng).tolist()
            expression = f'object {relation} the {NAMES[order[0]]}'
            text = f'<image> {{"{expression}": <c0>}} (c, x1, y1, x2, y2)'
            samples.append(
                DetDataSample(
                    metainfo=dict(
                        instruction=text,
                        object_names=NAMES,
                        question_phrases=[(('object', (0, 1, 2)), (NAMES[order[0]], (0,)))],
                    )
                )
            )
            target = _target(order, [[[0.8 * left, 0.4], [0.8 * left + 0.2, 0.6]] for left in x])
            target.target_class = torch.tensor([0 if meant else -1 for meant in _is_meant(x, relation)])
            targets.append(target)
        yield DescribedImages(samples, targets)


@pytest.mark.parametrize('relation', ['left of', pytest.param('closest to', marks=pytest.mark.slow)])
def test_expressions_that_relate_are_found(relation):
    torch.manual_seed(0)
    decoder = build_decoder(start_with_question=True, asked_phrases=2)
    warm_up_on_descriptions(
        decoder, _relations(relation), num_tokens=4, num_iters=400, lr=5e-3, noise=0.1, seed=0, phrase_weight=1.0
    )
    batch, slots = next(_relations(relation, 32)), [torch.tensor([2, 0, 3])] * 32
    with torch.no_grad():
        tokens = describe(
            decoder.eval(), [NAMES] * 32, batch.objects, slots, ['heart'], 4, 0.0, torch.Generator().manual_seed(1)
        )
        asked = [parse_instruction(sample.instruction, decoder.vocabulary) for sample in batch.samples]
        logits = decoder.class_logits(decoder.read(asked, tokens))[:, slots[0]]
    right = (logits[..., 0] > logits[..., 1]) == torch.stack([target.target_class == 0 for target in batch.objects])
    assert right[:, 1:].float().mean() > 0.9
