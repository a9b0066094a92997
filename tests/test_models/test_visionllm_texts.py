"""The detector where text is asked for: what it learns to generate, and of the objects that texts are about."""

import pytest
import torch

from tests.helpers.tiny import NAMES, ask_for_text, batch, build_model


@pytest.mark.slow
def test_texts_are_learned_and_generated():
    model = build_model().train()
    images, samples = batch([0, 0])
    ask_for_text(samples, ['a red star', 'two blue rings and a circle'])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(100):
        losses = model.loss(images, samples)
        assert set(losses) == {'loss_words'}
        optimizer.zero_grad()
        losses['loss_words'].backward()
        optimizer.step()
    assert losses['loss_words'] < 0.1
    for beams in (1, 3):
        model.eval().generation = dict(max_length=20, num_beams=beams)
        assert [s.pred_text for s in model.predict(images, samples)] == ['a red star', 'two blue rings and a circle']


def test_known_objects_teach_the_tokens_of_a_text():
    """L_tok and the alignment are those of a detection with the same tokens; nothing asks for points or classes."""
    model = build_model().train()
    images, samples = batch([2, 0, 3], text='Describe the picture in one sentence. <image>')
    ask_for_text(samples, ['a star', 'nothing', 'two rings'])
    for sample in samples:
        sample.set_metainfo(dict(object_names=NAMES))
        del sample.gt_instances.points
    losses = model.loss(images, samples)
    with torch.no_grad():
        _, detection = batch([2, 0, 3], names=NAMES)
        expected = set(model.loss(images, detection)) - {'loss_class', 'loss_location'} | {'loss_words'}
    assert set(losses) == expected
    sum(losses.values()).backward()
    assert all(head[-1].weight.grad.abs().sum() > 0 for head in model.image_tokenizer.place_heads)
