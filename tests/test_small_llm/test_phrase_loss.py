"""The loss of what phrases of questions stand for."""

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.registry import init_default_scope

from tests.helpers.tiny import NAMES, batch, build_decoder, instructions, model_config
from visionllm_mm.instructions import parse_instruction
from visionllm_mm.small_llm import PhraseLoss
from visionllm_mm.structures import SetTargets


def _target(corners):
    """Objects of the first name."""
    boxes = torch.tensor(corners, dtype=torch.float32).reshape(-1, 2, 2)
    labels = torch.zeros(len(boxes), dtype=torch.long)
    return SetTargets(labels, boxes[:, :0], torch.tensor([10.0, 20.0]), boxes[:0], boxes)


@torch.no_grad()
def test_phrases_of_several_objects_and_of_none():
    decoder = build_decoder(hints=dict(num_phrases=2))
    text = 'How many stars are there? <image>'
    sample = DetDataSample(
        metainfo=dict(
            instruction=text,
            object_names=NAMES,
            answer=('2', 'Are there more stars than circles?', 'yes'),
            question_phrases=[(('stars', (0, 1)),), (('stars', (0, 1)), ('circles', ()))],
        )
    )
    instruction, calls, phrases = parse_instruction(text, decoder.vocabulary), [], decoder.hints.phrases

    def match(_, tokens):
        calls.append(tokens)
        return torch.tensor([[[9.0, -9.0, 9.0]], [[9.0, -9.0, 9.0]], [[-9.0, -9.0, -9.0]]])

    def loss(slots, corners, weight=1.0):
        slots = [torch.tensor(slots, dtype=torch.long)]
        return float(PhraseLoss(weight).loss(decoder, [instruction], [sample], tokens, slots, [_target(corners)]))

    phrases.match = match
    phrases.where.weight.zero_()
    phrases.where.bias.copy_(torch.tensor([0.2, 0.3, 0.4, 0.6]))
    tokens = torch.randn(1, 3, decoder.llm.embed_dims)
    found = [[0.0, 0.0], [0.4, 0.6]]
    right = loss([2, 0], [found, found])
    assert torch.equal(calls[0], tokens.expand(3, -1, -1))
    assert loss([2, 0], [found, found], weight=5.0) == pytest.approx(5 * right)
    # Two of three phrases miss one token and invent one.
    assert loss([1, 0], [found, found]) - right == pytest.approx(9 * 4 / 9, abs=1e-3)
    # An object without a token has no box.
    aside = [[0.1, 0.0], [0.5, 0.6]]
    assert loss([2, 0], [found, aside]) - right == pytest.approx(0.1 / 8, abs=1e-5)
    assert loss([2, -1], [found, aside]) == pytest.approx(loss([2, -1], [found, found]), abs=1e-6)
    assert loss([], []) > 0  # the words are there


def test_batches_without_known_phrases_have_no_such_loss():
    decoder = build_decoder(hints=dict(num_phrases=2))
    _, samples = batch([1, 2])
    assert PhraseLoss().loss(decoder, instructions(2), samples, torch.zeros(2, 4, 32), [], []) == 0


def test_phrases_that_no_answer_begins_with_are_not_learned():
    decoder = build_decoder(hints=dict(point_places=True))
    with pytest.raises(ValueError, match="set hints=dict\\(type='SmallLLMHints', num_phrases=2\\) or more"):
        PhraseLoss().loss(decoder, [], [], torch.zeros(0, 4, 32), [], [])
    init_default_scope('mmdet')
    cfg = model_config().model
    cfg.auxiliary.phrases = dict(type='PhraseLoss')
    with pytest.raises(ValueError, match='leave out auxiliary.phrases'):
        MODELS.build(cfg)


@pytest.mark.slow
def test_phrases_of_questions_learn_which_tokens_they_stand_for():
    cfg = model_config().model
    cfg.auxiliary.phrases = dict(type='PhraseLoss', loss_weight=2.0)
    cfg.hints = dict(type='SmallLLMHints', num_phrases=2)
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(cfg).train()
    images, samples = batch([2, 2], text='Is the star left of the ring? <image>')
    for sample in samples:
        sample.set_metainfo(
            dict(answer=('no',), object_names=NAMES, question_phrases=[(('the star', (1,)), ('the ring', (0,)))])
        )
        del sample.gt_instances.points
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    history = []
    for _ in range(120):
        losses = model.loss(images, samples)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        history.append(losses['loss_asked'].item())
    assert history[-1] < 0.25 < 1 < history[0]
