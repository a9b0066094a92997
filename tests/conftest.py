"""Fixtures for all tests. Importing visionllm_mm first lets the tests import mmdet in any order."""

from pathlib import Path

import pytest
import torch

import visionllm_mm  # noqa: F401 (puts the stand-in for mmcv's ops in place)
from tests.helpers.miniscenes import ARGUMENTS
from visionllm_mm.miniscenes import write_dataset

# PyTorch gives many of its warnings once per process, which would make one test fail, or another, by their order.
torch.set_warn_always(True)


@pytest.fixture(scope='session')
def repo_root() -> Path:
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope='session')
def miniscenes(tmp_path_factory):
    """The folder of `tests/helpers/miniscenes.py`, to be read only."""
    folder = tmp_path_factory.mktemp('data') / 'miniscenes'
    write_dataset(folder, ARGUMENTS)
    return folder
