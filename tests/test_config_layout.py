"""Configs inherit at most three deep, and no hook is addressed by its index."""

import re

import pytest
from mmengine.config import Config

from tests.helpers.tiny import ROOT

CONFIGS = sorted(path for path in (ROOT / 'configs').glob('*/*.py') if path.parent.name != '_base_')


def _depth(path) -> int:
    bases = [base for base in Config._get_base_files(str(path)) if not base.startswith('mmdet::')]
    return 1 + max((_depth((path.parent / base).resolve()) for base in bases), default=0)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_inheritance_is_at_most_three_deep(path):
    assert _depth(path) <= 3


def test_base_configs_stand_in_the_folders_that_mmdet_has():
    folders = {
        path.name for path in (ROOT / 'configs/_base_').iterdir() if path.is_dir() and path.name != '__pycache__'
    }
    assert folders == {'models', 'datasets', 'schedules'}


def test_no_hook_is_addressed_by_its_index():
    files = [
        path
        for pattern in (
            'README.md',
            'docs/*.md',
            'tools/*.py',
            'configs/**/*.py',
            'tests/**/*.py',
            'visionllm_mm/**/*.py',
        )
        for path in ROOT.glob(pattern)
    ]
    index = re.compile(r'(custom|default)_hooks(\.\d|\[\d)')
    found = [
        str(path.relative_to(ROOT)) for path in files if index.search(path.read_text()) and path.name != 'lab_notes.md'
    ]
    assert found == []
