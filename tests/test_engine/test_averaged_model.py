"""The moving average of what trains."""

import pytest
import torch
from mmdet.registry import MODELS

from tests.helpers.tiny import LORA, build_model, randomize_adapters, save_llama


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp('llama')
    save_llama(path)
    return str(path)


def _average(model, **settings):
    return MODELS.build(dict(type='TrainedPartsEMA', **settings), default_args=dict(model=model))


def _drift(model, generator):
    """What an optimizer step does: all that trains moves, buffers too."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
        model.backbone.bn1.running_mean += 1


def test_equals_the_formula_and_shares_what_is_frozen(folder):
    model = build_model(llm=dict(path=folder, lora=LORA))
    randomize_adapters(model)
    average = _average(model, momentum=0.25)
    generator = torch.Generator().manual_seed(0)
    expected = {}
    for step in range(4):
        _drift(model, generator)
        average.update_parameters(model)
        for name, value in model.named_parameters():
            new = value.detach().clone()
            expected[name] = new if step == 0 else 0.75 * expected[name] + 0.25 * new
    averaged = dict(average.module.named_parameters())
    assert averaged.keys() == expected.keys()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(averaged[name].data, expected[name], msg=name)
        assert (averaged[name].data_ptr() == parameter.data_ptr()) == (not parameter.requires_grad), name
        assert torch.equal(averaged[name], parameter) == (not parameter.requires_grad), name
    mean = average.module.backbone.bn1.running_mean
    torch.testing.assert_close(mean, model.backbone.bn1.running_mean)
    assert mean.data_ptr() != model.backbone.bn1.running_mean.data_ptr()


def test_its_state_is_as_small_as_the_models_and_loads(folder):
    model = build_model(llm=dict(path=folder, lora=LORA))
    average = _average(model, momentum=0.25)
    average.update_parameters(model)
    state = average.state_dict()
    assert state.keys() == {f'module.{name}' for name in model.state_dict()} | {'steps'}
    assert not any('base_layer' in name for name in state)
    other = _average(build_model(seed=1, llm=dict(path=folder, lora=LORA)), momentum=0.25)
    other.load_state_dict(state)
    assert other.steps == 1
    assert all(torch.equal(value, state[name]) for name, value in other.state_dict().items())
