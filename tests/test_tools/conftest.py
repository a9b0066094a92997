"""Fixtures of the tools' tests."""

import json
import sys

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import CheckpointLoader

from tests.helpers.conversion import random_detector
from tests.helpers.tiny import ROOT, model_config


@pytest.fixture
def convert(monkeypatch, tmp_path):
    """Runs the tool's main with arguments and --out, and returns the checkpoint and the report."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    monkeypatch.setattr(CheckpointLoader, '_schemes', dict(CheckpointLoader._schemes))
    import convert_weights

    def run(*arguments, out=tmp_path / 'out/start.pth'):
        monkeypatch.setattr(sys, 'argv', ['convert_weights.py', *map(str, arguments), '--out', str(out)])
        convert_weights.main()
        return torch.load(out, weights_only=True), json.loads(out.with_suffix('.json').read_text())

    return run


@pytest.fixture(scope='module')
def tiny():
    """The tiny model and a detector's weights that fit it."""
    init_default_scope('mmdet')
    return MODELS.build(model_config().model), random_detector().state_dict()
