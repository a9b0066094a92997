"""Fixtures for all tests. Importing visionllm_mm first lets the tests import mmdet in any order."""

from pathlib import Path

import pytest

import visionllm_mm  # noqa: F401 (puts the stand-in for mmcv's ops in place)


@pytest.fixture(scope='session')
def repo_root() -> Path:
    return Path(__file__).resolve().parents[1]
