"""Image tokens made from lists of objects, and an LLM that learns from them."""

from itertools import count

import pytest
import torch
from mmdet.structures import DetDataSample

from tests.tiny import LLM, VOCABULARY, build_decoder
from visionllm_mm.instructions import CAPTION_TEMPLATES, Vocabulary, parse_instruction
from visionllm_mm.models import CausalLM, OpenEndedTaskDecoder
from visionllm_mm.models.description_warmup import describe, warm_up_on_descriptions
from visionllm_mm.models.text_answers import generate
from visionllm_mm.structures import SetTargets

NAMES = ['star', 'red ring', 'circle']


def _target(classes, corners):
    boxes = torch.tensor(corners, dtype=torch.float32).reshape(-1, 2, 2)
    return SetTargets(torch.tensor(classes, dtype=torch.long), boxes[:, :0], torch.tensor([10., 20.]), boxes[:0], boxes)


@torch.no_grad()
def test_objects_stand_at_random_slots_with_their_names_and_places():
    decoder = build_decoder()
    target = _target([1, 0], [[[0.1, 0.2], [0.3, 0.6]], [[0.5, 0.5], [0.7, 0.9]]])
    tokens = describe(decoder, [NAMES, NAMES], [target, _target([], [])], ['heart'], 5, 0.0,
                      torch.Generator().manual_seed(0))
    assert tokens.shape == (2, 5, 32)
    names = decoder.prefix_builder.embed_names([NAMES]).name_embeddings[0]
    projector = decoder.projector
    for row, center in ((1, [0.2, 0.4]), (0, [0.6, 0.7])):
        expected = projector.normalize(names[row]) + projector.project_place(torch.tensor(center))
        assert (tokens[0] - expected).norm(dim=-1).min() < 1e-5
    others = projector.normalize(decoder.llm.embed_words(torch.tensor(decoder.llm.word_ids('heart'))))
    # Elsewhere there are other words, at places of half their length.
    assert (tokens[1] - others).norm(dim=-1) == pytest.approx(projector.scale.item() / 2, rel=1e-4)


def test_more_objects_than_tokens():
    corners = [[[0.1, 0.2], [0.3, 0.6]]] * 4
    tokens = describe(build_decoder(), [NAMES], [_target([0, 1, 2, 0], corners)], ['heart'], 3, 0.3,
                      torch.Generator().manual_seed(0))
    assert tokens.shape == (1, 3, 32) and tokens.isfinite().all()


def _batches(size=8):
    rng = torch.Generator().manual_seed(0)
    for _ in count():
        samples, targets = [], []
        for _ in range(size):
            label = int(torch.randint(len(NAMES), (1,), generator=rng))
            samples.append(DetDataSample(metainfo=dict(
                instruction=CAPTION_TEMPLATES[0], answer=(f'a {NAMES[label]}',), object_names=NAMES)))
            targets.append(_target([label], [[[0.1, 0.2], [0.3, 0.6]]]))
        yield samples, targets


def test_the_llm_learns_to_name_what_it_is_told():
    torch.manual_seed(0)
    # Weights as an LLM starts with, unlike those of the other tests.
    llm = CausalLM(**(LLM | dict(config=LLM['config'] | dict(initializer_range=0.18))))
    decoder = OpenEndedTaskDecoder(llm=llm, vocabulary=Vocabulary(**VOCABULARY), token_dims=16)
    said = []
    warm_up_on_descriptions(decoder, _batches(), num_tokens=3, num_iters=200, lr=5e-3, noise=0.1, seed=0,
                            report=lambda step, loss: said.append((step, loss)))
    assert [step for step, _ in said] == [100, 200] and said[1][1] < 0.1 < said[0][1]
    assert all(weight.grad is None for weight in decoder.parameters())
    samples, targets = next(_batches())
    tokens = describe(decoder.eval(), [NAMES] * 8, targets, ['heart'], 3, 0.0, torch.Generator().manual_seed(1))
    asked = [parse_instruction(sample.instruction, decoder.vocabulary) for sample in samples]
    assert generate(decoder, asked, tokens, max_length=5) == [sample.answer[0] for sample in samples]
