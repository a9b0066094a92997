"""EfficientNet-Lite0: its features, and what is frozen."""

import pytest
import torch
from mmdet.registry import MODELS
from torch import nn


def _build(**kwargs):
    return MODELS.build(dict(type='mmdet.EfficientNetLite', **kwargs))


def test_features():
    shapes = [tuple(level.shape) for level in _build(out_indices=(2, 3, 4, 5))(torch.zeros(1, 3, 65, 96))]
    assert shapes == [(1, 24, 17, 24), (1, 40, 9, 12), (1, 112, 5, 6), (1, 320, 3, 3)]


def test_parts_of_the_lite_form():
    backbone = _build()
    modules = [type(module).__name__ for module in backbone.modules()]
    assert 'SELayer' not in modules and 'Swish' not in modules and 'ReLU6' in modules
    assert {module.eps for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)} == {1e-3}
    assert sum(parameter.numel() for parameter in backbone.parameters()) == 2_958_848


@pytest.mark.parametrize('frozen', [0, 4, 6])
def test_frozen_stages(frozen):
    backbone = _build(frozen_stages=frozen, norm_eval=True)
    backbone.train()
    trained = {int(name.split('.')[1]) for name, p in backbone.named_parameters() if p.requires_grad}
    assert trained == set(range(frozen, 6))
    assert not any(module.training for module in backbone.modules() if isinstance(module, nn.BatchNorm2d))
