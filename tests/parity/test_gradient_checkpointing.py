"""Gradient checkpointing of the LLM against the plain computation: losses, gradients, and what is kept."""

import copy

import pytest
import torch

from tests.helpers.tiny import LORA, batch, build_decoder, build_model, instructions, randomize_adapters
from visionllm_mm.models.text_decoding import answer_logits


def _two_passes(decoder):
    """A loss of both passes, with gradients through keys and values into the first."""
    inputs = torch.randn(3, 6, 32, generator=torch.Generator().manual_seed(1)).requires_grad_()
    state = decoder.read(instructions(3, 8), inputs)
    points = decoder.point_logits(state, torch.tensor([[0, 3], [1, 0], [2, 5]]), 8)
    return decoder.class_logits(state).clamp(min=-50).square().mean() + points.square().mean(), inputs


def _words(decoder):
    inputs = torch.randn(2, 6, 32, generator=torch.Generator().manual_seed(1)).requires_grad_()
    logits, targets = answer_logits(decoder, instructions(2), inputs, [['a red star'], ['two']])
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten()), inputs


def _gradients(decoder, compute):
    """Loss, gradients by name, and bytes that the backward pass was kept waiting with."""
    kept: dict[int, int] = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    torch.manual_seed(0)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss, inputs = compute(decoder)
    loss.backward()
    gradients = {name: p.grad for name, p in decoder.named_parameters() if p.grad is not None}
    return loss.detach(), gradients | dict(inputs=inputs.grad), sum(kept.values())


@pytest.mark.parametrize('compute', [_two_passes, _words])
@pytest.mark.parametrize(
    'llm',
    [
        dict(freeze=True, lora=LORA | dict(lora_dropout=0.3)),
        dict(freeze=True, lora=LORA, dtype='bfloat16'),
        dict(freeze=False),
    ],
)
@pytest.mark.parametrize('autocast', [False, True])
def test_same_losses_and_gradients_with_less_kept(compute, llm, autocast):
    results = []
    for gradient_checkpointing in (False, True):
        decoder = build_decoder(gradient_checkpointing=gradient_checkpointing, **llm).train()
        randomize_adapters(decoder)
        with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
            results.append(_gradients(decoder, compute))
    (loss, gradients, kept), (loss_again, gradients_again, kept_again) = results
    torch.testing.assert_close(loss_again, loss, rtol=0, atol=0)
    assert gradients.keys() == gradients_again.keys() and gradients['inputs'].abs().max() > 0
    for name, gradient in gradients.items():
        # Autocast rounds a float32 weight once for both passes, or once in each: their gradients add up in bfloat16.
        rounding = 2e-2 * float(gradient.abs().max()) if autocast else 0
        torch.testing.assert_close(gradients_again[name], gradient, rtol=0, atol=rounding, msg=name)
    assert any('lora_A' in name and g.abs().max() > 0 for name, g in gradients.items()) == llm['freeze']
    # The rest is logits over all words, and what stands before the LLM.
    assert kept_again < (0.25 if compute is _two_passes else 0.6) * kept


def test_the_whole_model_has_the_same_losses_and_gradients():
    images, samples = batch([2, 0, 3])
    results = []
    for gradient_checkpointing in (False, True):
        model = build_model(llm=dict(freeze=True, lora=LORA, gradient_checkpointing=gradient_checkpointing)).train()
        randomize_adapters(model)
        losses = model.loss(images, samples)
        sum(losses.values()).backward()
        results.append((losses, {n: p.grad for n, p in model.named_parameters() if p.grad is not None}))
    (losses, gradients), (losses_again, gradients_again) = results
    assert losses == losses_again and gradients.keys() == gradients_again.keys()
    assert all(torch.equal(gradient, gradients_again[name]) for name, gradient in gradients.items())


def test_names_stay_and_copies_use_their_own_weights():
    decoder, plain = build_decoder(gradient_checkpointing=True), build_decoder()
    assert decoder.state_dict().keys() == plain.state_dict().keys()
    twin = copy.deepcopy(decoder).train()
    torch.nn.init.zeros_(decoder.llm.base.model.layers[0].mlp.down_proj.weight)
    loss, _ = _two_passes(twin)
    torch.testing.assert_close(loss, _two_passes(plain.train())[0], rtol=0, atol=0)
    loss.backward()
    assert twin.llm.base.model.layers[0].mlp.down_proj.weight.grad.abs().max() > 0
    assert decoder.llm.base.model.layers[0].mlp.down_proj.weight.grad is None


def test_evaluation_is_the_same():
    with torch.no_grad():
        losses = [_two_passes(build_decoder(gradient_checkpointing=on).eval())[0] for on in (False, True)]
    assert losses[0] == losses[1]
