"""Image tokens made from lists of objects, and an LLM that learns from them."""

from itertools import count

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from tests.helpers.tiny import LLM, VOCABULARY, assemble_decoder, build_decoder
from visionllm_mm.instructions import (
    CAPTION_TEMPLATES,
    GROUNDING_TEMPLATES,
    Vocabulary,
    build_instruction,
    parse_instruction,
    point_format,
)
from visionllm_mm.models import CausalLM
from visionllm_mm.models.text_decoding import generate
from visionllm_mm.small_llm.phrase_loss import PhraseLoss
from visionllm_mm.small_llm.progress import WarmupProgress
from visionllm_mm.small_llm.simulated_tokens import distractor_ids, simulate_tokens, simulated_targets
from visionllm_mm.small_llm.warmups import train, warm_up_on_simulated_tokens

NAMES = ['star', 'red ring', 'circle']


def _sample(labels, corners, target_class=None, **metainfo):
    """A sample without an image, of 10 x 20 px, with objects whose corners are in [0, 1]."""
    sample = DetDataSample(metainfo=dict(img_shape=(20, 10), object_names=NAMES) | metainfo)
    sample.gt_instances = InstanceData(
        labels=torch.tensor(target_class or labels, dtype=torch.long),
        object_labels=torch.tensor(labels, dtype=torch.long),
        bboxes=torch.tensor(corners, dtype=torch.float32).reshape(-1, 4) * torch.tensor([10, 20, 10, 20]),
    )
    return sample


def _simulate(decoder, samples, slots, num_tokens, noise=0.0, seed=0):
    return simulate_tokens(
        decoder,
        names=[NAMES] * len(samples),
        targets=simulated_targets(samples),
        slots=slots,
        distractor_words=['heart'],
        num_tokens=num_tokens,
        noise=noise,
        generator=seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed),
    )


def _parse(decoder, samples):
    return [parse_instruction(sample.instruction, decoder.vocabulary) for sample in samples]


def _phrase_loss(decoder, samples, tokens, slots):
    targets = simulated_targets(samples)
    return PhraseLoss().loss(decoder, _parse(decoder, samples), samples, tokens, slots, targets)


@torch.no_grad()
def test_objects_stand_at_their_slots_with_their_names_and_boxes():
    decoder = build_decoder()
    samples = [_sample([1, 0], [[[0.1, 0.2], [0.3, 0.6]], [[0.5, 0.5], [0.7, 0.9]]]), _sample([], [])]
    tokens = _simulate(decoder, samples, [torch.tensor([3, 1]), torch.tensor([], dtype=torch.long)], num_tokens=5)
    assert tokens.shape == (2, 5, 32)
    names = decoder.prefix_builder.embed_names([NAMES]).name_embeddings[0]
    projector = decoder.projector
    for slot, row, center in ((3, 1, [0.2, 0.4]), (1, 0, [0.6, 0.7])):
        expected = projector(projector.normalize(names[row]), torch.tensor(center))
        assert (tokens[0, slot] - expected).norm() < 1e-5
    others = projector.normalize(decoder.llm.embed_words(torch.tensor(decoder.llm.word_ids('heart'))))
    # Elsewhere there are other words, with positions as long as they are.
    assert (tokens[1] - others).norm(dim=-1) == pytest.approx(projector.scale.item(), rel=1e-4)


@torch.no_grad()
def test_repeated_objects_state_that_they_are_none():
    decoder = build_decoder(hints=dict(objectness=True))
    decoder.hints.objectness.copy_(torch.eye(32)[0] * 1000)  # drowns all else in the first feature
    samples = [_sample([1], [[[0.4, 0.4], [0.6, 0.6]]]) for _ in range(40)]
    tokens = _simulate(decoder, samples, [torch.tensor([2])] * 40, num_tokens=7)
    is_object = torch.arange(7) == 2
    assert (tokens[:, is_object, 0] > 150).all() and (tokens[:, ~is_object, 0] < 150).all()
    name = decoder.prefix_builder.embed_names([NAMES]).name_embeddings[0, 1]
    content = decoder.projector.normalize(name)[1:]
    # A position is as long as a content, so what is closer than that has the content of the object.
    length = decoder.projector.scale.item()
    repeats = ((tokens[:, ~is_object, 1:] - content).norm(dim=-1) < 1.05 * length).float().mean()
    assert 0.05 < repeats < 0.35


def test_more_objects_than_tokens():
    sample = _sample([0, 1, 2, 0], [[[0.1, 0.2], [0.3, 0.6]]] * 4)
    tokens = _simulate(build_decoder(), [sample], [torch.tensor([2, 0, 1])], num_tokens=3, noise=0.3)
    assert tokens.shape == (1, 3, 32) and tokens.isfinite().all()


def test_distractor_words_stand_where_no_object_does():
    decoder, words = build_decoder(), ['heart', 'ring', 'star']
    ids = distractor_ids(decoder, words, 50, torch.Generator().manual_seed(0))
    assert set(ids.tolist()) == {decoder.llm.word_ids(word)[0] for word in words} and len(ids) == 50


def _batches(size=8):
    rng = torch.Generator().manual_seed(0)
    for _ in count():
        labels = torch.randint(len(NAMES), (size,), generator=rng).tolist()
        yield [
            _sample([k], [[[0.1, 0.2], [0.3, 0.6]]], instruction=CAPTION_TEMPLATES[0], answer=(f'a {NAMES[k]}',))
            for k in labels
        ]


def _build_learner():
    """A decoder with weights as an LLM starts with, unlike those of the other tests."""
    torch.manual_seed(0)
    llm = CausalLM(**(LLM | dict(config=LLM['config'] | dict(initializer_range=0.18))))
    return assemble_decoder(llm)


def test_the_llm_learns_to_name_what_tokens_stand_for():
    decoder, lines = _build_learner(), []
    warm_up_on_simulated_tokens(
        decoder,
        _batches(),
        num_tokens=3,
        num_iters=200,
        lr=5e-3,
        noise=0.1,
        seed=0,
        progress=WarmupProgress('warm-up', 200, lines.append),
    )
    first, last = (float(line.rsplit(maxsplit=1)[1]) for line in (lines[0], lines[-1]))
    assert lines[-1].startswith('warm-up [200/200]  loss: ') and first > 2
    assert last < first / 4
    assert all(weight.grad is None for weight in decoder.parameters())
    samples = next(_batches())
    tokens = _simulate(decoder.eval(), samples, [torch.tensor([1])] * 8, num_tokens=3, seed=1)
    assert generate(decoder, _parse(decoder, samples), tokens, max_length=5) == [s.answer[0] for s in samples]


def _expressions(size=8):
    """Two objects, of which one is described by its name."""
    rng = torch.Generator().manual_seed(0)
    while True:
        samples = []
        for _ in range(size):
            labels = torch.randperm(len(NAMES), generator=rng)[:2]
            text = build_instruction(
                GROUNDING_TEMPLATES[0], [f'the {NAMES[labels[1]]}'], point_format(2), Vocabulary(**VOCABULARY)
            )
            corners = [[[0.1, 0.2], [0.3, 0.6]], [[0.5, 0.5], [0.7, 0.9]]]
            samples.append(_sample(labels.tolist(), corners, target_class=[-1, 0], instruction=text))
        yield samples


@torch.no_grad()
def test_the_llm_learns_which_object_is_meant():
    decoder = _build_learner()
    with torch.enable_grad():
        warm_up_on_simulated_tokens(decoder, _expressions(), num_tokens=4, num_iters=300, lr=5e-3, noise=0.1, seed=0)
    samples = next(_expressions(16))
    tokens = _simulate(decoder.eval(), samples, [torch.tensor([0, 2])] * 16, num_tokens=4, seed=1)
    logits = decoder.class_logits(decoder.read(_parse(decoder, samples), tokens))
    assert ((logits[..., 0] - logits[..., 1]).argmax(dim=1) == 2).float().mean() > 0.9


def _comparisons(size=8):
    """Two objects side by side, and whether the first is left of the second."""
    rng = torch.Generator().manual_seed(0)
    while True:
        samples = []
        for _ in range(size):
            first, second = torch.randperm(len(NAMES), generator=rng)[:2].tolist()
            x = torch.rand(2, generator=rng).tolist()
            corners = [[[0.8 * left, 0.4], [0.8 * left + 0.2, 0.6]] for left in x]
            question = f'Is the {NAMES[first]} left of the {NAMES[second]}?'
            samples.append(
                _sample(
                    [first, second],
                    corners,
                    instruction=f'{question} <image>',
                    answer=('yes' if x[0] < x[1] else 'no',),
                    question_phrases=[((NAMES[first], (0,)), (NAMES[second], (1,)))],
                )
            )
        yield samples


def test_phrases_find_what_a_question_compares():
    torch.manual_seed(0)
    decoder = build_decoder(hints=dict(num_phrases=2))
    batches, generator, slots = _comparisons(), torch.Generator().manual_seed(0), [torch.tensor([2, 0])] * 8

    def find_loss(samples):
        tokens = _simulate(decoder, samples, slots, num_tokens=3, seed=generator)
        return tokens, _phrase_loss(decoder, samples, tokens, slots)

    train(decoder, lambda: find_loss(next(batches))[1], 200, 5e-3)
    samples = next(batches)
    tokens, after = find_loss(samples)
    assert after.item() < 0.2
    words = decoder.llm.embed_texts([sample.instruction[:-8] for sample in samples])
    phrases = decoder.hints.phrases
    found = phrases.match(phrases.pool(*words)[:, :-1], tokens) > 0
    assert (found == torch.tensor([[False, False, True], [True, False, False]])).float().mean() > 0.95


@torch.no_grad()
def test_phrases_of_several_objects_and_of_none():
    decoder = build_decoder(hints=dict(num_phrases=2))
    texts = dict(
        instruction='How many stars are there? <image>',
        answer=('2', 'Are there more stars than circles?', 'yes'),
        question_phrases=[(('stars', (0, 1)),), (('stars', (0, 1)), ('circles', ()))],
    )
    matched = []

    def match(phrases, tokens):
        matched.append(tokens)
        return torch.tensor([[[9.0, -9.0, 9.0]], [[9.0, -9.0, 9.0]], [[-9.0, -9.0, -9.0]]])

    def loss(slots, corners):
        sample = _sample([0] * len(corners), corners, **texts)
        return float(_phrase_loss(decoder, [sample], tokens, [torch.tensor(slots, dtype=torch.long)]))

    decoder.hints.phrases.match = match
    decoder.hints.phrases.where.weight.zero_()
    decoder.hints.phrases.where.bias.copy_(torch.tensor([0.2, 0.3, 0.4, 0.6]))
    tokens = torch.randn(1, 3, decoder.llm.embed_dims)
    found = [[0.0, 0.0], [0.4, 0.6]]
    right = loss([2, 0], [found, found])
    assert torch.equal(matched[0], tokens.expand(3, -1, -1))
    # Two of three phrases miss one token and invent one.
    assert loss([1, 0], [found, found]) - right == pytest.approx(9 * 4 / 9, abs=1e-3)
    # An object without a token has no box.
    aside = [[0.1, 0.0], [0.5, 0.6]]
    assert loss([2, 0], [found, aside]) - right == pytest.approx(0.1 / 8, abs=1e-5)
    assert loss([2, -1], [found, aside]) == pytest.approx(loss([2, -1], [found, found]), abs=1e-6)
    assert loss([], []) > 0  # the words are there


def test_phrases_that_no_answer_begins_with_are_not_taught():
    with pytest.raises(ValueError, match="set hints=dict\\(type='SmallLLMHints', num_phrases=2\\) or more"):
        warm_up_on_simulated_tokens(
            build_decoder(hints=dict(objectness=True)),
            _comparisons(),
            num_tokens=4,
            num_iters=1,
            lr=1e-3,
            noise=0.1,
            seed=0,
            phrase_weight=5.0,
        )


def test_batches_that_compare_nothing_have_no_such_loss():
    decoder = build_decoder(hints=dict(num_phrases=2))
    for batches in (_batches(), _expressions()):
        samples = next(batches)
        tokens = torch.zeros(len(samples), 4, decoder.llm.embed_dims)
        assert PhraseLoss().loss(decoder, _parse(decoder, samples), samples, tokens, [], []) == 0
        warm_up_on_simulated_tokens(
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
        samples = []
        for _ in range(size):
            order = torch.randperm(len(NAMES), generator=rng)[:3].tolist()
            x = torch.rand(3, generator=rng).tolist()
            expression = f'object {relation} the {NAMES[order[0]]}'
            text = f'<image> {{"{expression}": <c0>}} (c, x1, y1, x2, y2)'
            samples.append(
                _sample(
                    order,
                    [[[0.8 * left, 0.4], [0.8 * left + 0.2, 0.6]] for left in x],
                    target_class=[0 if meant else -1 for meant in _is_meant(x, relation)],
                    instruction=text,
                    question_phrases=[(('object', (0, 1, 2)), (NAMES[order[0]], (0,)))],
                )
            )
        yield samples


@pytest.mark.slow
@pytest.mark.parametrize('relation', ['left of', 'closest to'])
def test_expressions_that_relate_are_found(relation):
    torch.manual_seed(0)
    decoder = build_decoder(hints=dict(num_phrases=2))
    warm_up_on_simulated_tokens(
        decoder, _relations(relation), num_tokens=4, num_iters=400, lr=5e-3, noise=0.1, seed=0, phrase_weight=1.0
    )
    samples, slots = next(_relations(relation, 32)), [torch.tensor([2, 0, 3])] * 32
    with torch.no_grad():
        tokens = _simulate(decoder.eval(), samples, slots, num_tokens=4, seed=1)
        logits = decoder.class_logits(decoder.read(_parse(decoder, samples), tokens))[:, slots[0]]
    right = (logits[..., 0] > logits[..., 1]) == torch.stack([s.gt_instances.labels == 0 for s in samples])
    assert right[:, 1:].float().mean() > 0.9
