"""The loss of reading output formats."""

import pytest
import torch
from torch.nn import functional as F

from tests.helpers.tiny import ask_for_text, batch, build_decoder, build_model, instructions
from visionllm_mm.instructions import point_format
from visionllm_mm.models import FormatLoss
from visionllm_mm.models.auxiliary.formats import format_nll
from visionllm_mm.models.format_reader import FormatReader


def test_loss_is_the_likelihood_of_the_format():
    torch.manual_seed(0)
    logits = torch.randn(2, 4, 2)
    text = F.log_softmax(logits[0, 0], dim=0)[0]
    decisions = F.log_softmax(logits[1], dim=1)
    box = decisions[0, 1] + decisions[1, 1] + decisions[2, 0]
    torch.testing.assert_close(format_nll(logits, torch.tensor([0, 2])), -(text + box) / 2)


def test_loss_has_a_weight():
    decoder, given = build_decoder(), instructions(2)
    _, samples = batch([0, 0])
    once, thrice = (FormatLoss(weight).loss(decoder, given, samples).item() for weight in (1.0, 3.0))
    assert thrice == pytest.approx(3 * once) and once > 0


def test_scrambled_instructions_that_ask_for_text_still_do():
    model = build_model().train()
    model.auxiliary['formats'] = FormatLoss()
    images, samples = batch([0, 0])
    ask_for_text(samples, ['a star', 'a ring'])
    plain = model.loss(images, samples)['loss_format']
    for sample in samples:
        sample.set_metainfo(dict(scrambled_instruction='wo nu <image>'))
    scrambled = model.loss(images, samples)['loss_format']
    assert scrambled.isfinite() and scrambled != plain


def test_scrambled_instructions_may_name_points_twice():
    model = build_model().train()
    model.auxiliary['formats'] = FormatLoss()
    images, samples = batch([0, 1])
    text = 'wo {"star": <c0>} ["nu", "nu"] (c, x1, y1, x2, y2) <image>'
    samples[0].set_metainfo(dict(scrambled_instruction=text))
    assert model.loss(images, samples)['loss_format'].isfinite()


def test_the_llm_learns_formats_beside_the_tasks():
    model = build_model().train()
    model.auxiliary['formats'] = FormatLoss()
    images, samples = batch([1, 2])
    samples[0].set_metainfo(dict(scrambled_instruction='wo {"star": <c0>} nu (c, x1, y1, x2, y2) <image>'))
    optimizer = torch.optim.AdamW(model.task_decoder.parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        loss = model.loss(images, samples)['loss_format']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.1 < losses[0]
    reader = FormatReader(model.eval().task_decoder, model.vocabulary)
    assert reader.generate([sample.instruction for sample in samples]) == [point_format(2)] * 2
