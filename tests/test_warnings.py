"""The filters of warnings in pyproject.toml: ours are errors, those of others are shown, some are left out by name."""

import shutil
import subprocess
import sys

import pytest

from tests.helpers.tiny import ROOT

LIBRARY = """
import warnings

def own(category=UserWarning):
    warnings.warn('a line of the library', category)

def of_the_caller():
    warnings.warn('you should not', DeprecationWarning, stacklevel=2)

def known():
    warnings.warn('`torch.jit.script` is deprecated', DeprecationWarning)
"""


@pytest.fixture
def run(tmp_path):
    """Runs a test of one line with this project's settings, and returns what pytest says."""
    shutil.copy(ROOT / 'pyproject.toml', tmp_path)
    (tmp_path / 'library.py').write_text(LIBRARY)
    (tmp_path / 'visionllm_mm.py').write_text("import warnings\n\ndef call():\n    warnings.warn('ours')\n")
    (tmp_path / 'tests').mkdir()

    def run(line: str) -> str:
        code = f'import warnings\nimport library\nimport visionllm_mm\n\ndef test_it():\n    {line}\n'
        (tmp_path / 'tests/test_it.py').write_text(code)
        command = [sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', 'tests']
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout

    return run


@pytest.mark.parametrize(
    'line',
    [
        "warnings.warn('new')",
        "warnings.warn('old', DeprecationWarning)",
        'visionllm_mm.call()',
        'library.of_the_caller()',
    ],
)
def test_ours_fail(run, line):
    assert '1 failed' in run(line)


@pytest.mark.parametrize(
    ('line', 'summary'), [('library.own()', '1 passed, 1 warning'), ('library.known()', '1 passed in')]
)
def test_those_of_others(run, line, summary):
    assert summary in run(line)
