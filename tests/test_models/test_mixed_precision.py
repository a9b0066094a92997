"""bfloat16: a frozen LLM in it, and the rest within autocast."""

import pytest
import torch
from mmcv.ops import multi_scale_deform_attn
from mmengine.optim import build_optim_wrapper

from tests.helpers.tiny import LORA, batch, build_model, randomize_adapters

FROZEN = dict(freeze=True, lora=LORA)


def _model(**llm):
    model = build_model(llm=FROZEN | llm).train()
    randomize_adapters(model)
    return model


def _losses(model, autocast):
    images, samples = batch([2, 3])
    with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
        return model.loss(images, samples)


@pytest.fixture
def deformable_dtypes(monkeypatch):
    """What goes into mmcv's deformable attention: dtypes, and whether autocast is on."""
    seen = set()
    plain = multi_scale_deform_attn.multi_scale_deformable_attn_pytorch

    def attend(value, shapes, locations, weights):
        seen.add((value.dtype, locations.dtype, weights.dtype, torch.is_autocast_enabled('cpu')))
        return plain(value, shapes, locations, weights)

    monkeypatch.setattr(multi_scale_deform_attn, 'multi_scale_deformable_attn_pytorch', attend)
    return seen


@pytest.mark.parametrize('autocast', [False, True])
@pytest.mark.parametrize('gradient_checkpointing', [False, True])
def test_losses_are_near_those_of_float32(autocast, gradient_checkpointing, deformable_dtypes):
    plain = _losses(_model(), autocast=False)
    model = _model(dtype='bfloat16', gradient_checkpointing=gradient_checkpointing)
    losses = _losses(model, autocast)
    assert losses.keys() == plain.keys() and losses['loss_class'] != plain['loss_class']
    for name, loss in losses.items():
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, plain[name], rtol=0.03, atol=0.01, msg=f'{name}: {loss} {plain[name]}')
    sum(losses.values()).backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    assert {g.dtype for g in gradients.values()} == {torch.float32}
    assert all(g.isfinite().all() for g in gradients.values())
    assert all(g.abs().max() > 0 for name, g in gradients.items() if 'lora_' in name)
    assert deformable_dtypes == {(torch.float32, torch.float32, torch.float32, False)}


def test_logits_of_added_tokens_are_exact_within_autocast():
    added = _model().task_decoder.added_tokens
    hidden, ids = torch.randn(1, 5, 64).bfloat16(), torch.arange(100)
    with torch.autocast('cpu', torch.bfloat16):
        logits = added.logits(hidden, ids)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, hidden.float() @ added.output_rows[:100].T, rtol=0, atol=0)


def test_predictions_with_a_base_of_half_the_precision():
    images, samples = batch([2, 3])
    for found in _model(dtype='bfloat16').eval().predict(images, samples):
        assert len(found.pred_instances) > 0 and found.pred_instances.bboxes.isfinite().all()


@pytest.mark.filterwarnings('ignore:torch.cuda.amp.GradScaler is enabled, but CUDA is not available')
def test_steps_of_mmengines_wrapper(monkeypatch):
    # It refuses CPUs before it looks at the dtype; autocast and the rest of it work there.
    monkeypatch.setattr('mmengine.optim.optimizer.amp_optimizer_wrapper.is_cuda_available', lambda: True)
    model = _model(dtype='bfloat16')
    before = {name: p.clone() for name, p in model.named_parameters()}
    wrapper = build_optim_wrapper(
        model,
        dict(
            type='AmpOptimWrapper',
            dtype='bfloat16',
            loss_scale=1.0,
            clip_grad=dict(max_norm=0.5),
            optimizer=dict(type='AdamW', lr=1e-3),
            constructor='TrainedPartsOptimWrapperConstructor',
        ),
    )
    images, samples = batch([2, 3])
    losses = []
    for _ in range(4):
        with wrapper.optim_context(model):
            assert torch.is_autocast_enabled('cpu')
            loss = sum(model.loss(images, samples).values())
        wrapper.update_params(loss)
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad or torch.equal(parameter, before[name]), name
    assert any('lora_A' in name and not torch.equal(p, before[name]) for name, p in model.named_parameters())
