"""Optimizer groups of what trains."""

import logging

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper

from tests.helpers.tiny import LORA, build_model

BASE = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.1))


@pytest.fixture(scope='module')
def model():
    return build_model(llm=dict(freeze=True, lora=LORA))


@pytest.fixture
def log():
    """Messages of mmengine's logger."""
    messages = []
    handler = logging.Handler()
    # The registry tells what it builds, too.
    handler.emit = lambda record: 'registry' in (text := record.getMessage()) or messages.append(text)
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)


def _groups(model, constructor='TrainedPartsOptimWrapperConstructor', **paramwise):
    wrapper = build_optim_wrapper(model, ConfigDict(BASE, constructor=constructor, paramwise_cfg=paramwise or None))
    return wrapper.optimizer.param_groups


def _settings(model, groups):
    """Learning rate and weight decay by name."""
    of = {id(p): (group['lr'], group['weight_decay']) for group in groups for p in group['params']}
    return {name: of[id(p)] for name, p in model.named_parameters() if id(p) in of}


def test_without_options_one_group_of_all_that_trains(model):
    [group] = _groups(model)
    assert {id(p) for p in group['params']} == {id(p) for p in model.parameters() if p.requires_grad}
    assert (group['lr'], group['weight_decay']) == (1e-3, 0.1)


def test_settings_are_mmengines_in_few_groups(model):
    options = dict(
        custom_keys=dict(backbone=dict(lr_mult=0.1), lora_=dict(lr_mult=2.0, decay_mult=0.0)),
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
    )
    ours = _groups(model, **options)
    plain = _groups(model, 'DefaultOptimWrapperConstructor', **options)
    assert _settings(model, ours) == _settings(model, plain)
    assert len(ours) == 4 < len(plain)
    found = _settings(model, ours)
    assert found['backbone.conv1.weight'] == (1e-4, 0.1)
    assert found['task_decoder.llm.base.model.layers.0.self_attn.q_proj.lora_A.default.weight'] == (2e-3, 0.0)
    assert found['task_decoder.projector.norm.weight'] == (1e-3, 0.0)
    assert not [name for name in found if 'llm.base' in name and 'lora_' not in name]


def test_a_line_per_group_and_none_per_parameter(model, log):
    _groups(model, custom_keys=dict(backbone=dict(lr_mult=0.1)))
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    backbone = sum(p.numel() for p in model.backbone.parameters())
    total = sum(p.numel() for p in model.parameters())
    assert log[0] == f'{trained:,} parameters train, {total - trained:,} are frozen'
    assert len(log) == 3 and all('weight decay 0.1' in line for line in log[1:])
    assert f'lr 0.0001, weight decay 0.1: {backbone:,} parameters in 60 tensors of backbone' in log
    log.clear()
    _groups(model, 'DefaultOptimWrapperConstructor', bypass_duplicate=True)
    assert len(log) > 20  # what is avoided


def test_a_key_without_a_parameter_is_an_error(model):
    with pytest.raises(ValueError, match=r"'bakcbone' is in no parameter's name.*backbone, .*text_encoder"):
        _groups(model, custom_keys=dict(bakcbone=dict(lr_mult=0.1), neck=dict(lr_mult=1.0)))
    # One whose parameters are all frozen is none: stages share their options.
    _groups(model, custom_keys=dict(mlp=dict(lr_mult=0.1)) | {'llm.base.model.embed_tokens': dict(lr_mult=0.1)})


def test_nothing_to_train_is_an_error():
    with pytest.raises(ValueError, match='no parameter of the model requires a gradient'):
        _groups(torch.nn.Linear(2, 2).requires_grad_(False))


def test_shared_parameters_are_taken_once():
    shared = torch.nn.Linear(2, 2)
    model = torch.nn.ModuleDict(dict(a=shared, b=torch.nn.Sequential(shared, torch.nn.Linear(2, 1))))
    [group] = _groups(model)
    assert len(group['params']) == 4
