"""`make lint`, pre-commit and the tested environment agree, and docstrings are checked."""

import subprocess
import sys

import pytest
import yaml

from tests.helpers.tiny import ROOT

HOOKS = yaml.safe_load((ROOT / '.pre-commit-config.yaml').read_text())['repos'][0]['hooks']
FUNCTION = '''
def scale(boxes: list, factor: float) -> list:
    """Scales boxes.

    Args:
        boxes: the boxes.
        {name}: by how much.
    """
'''
CLASS = '''
class Scale:
    """Scales boxes.

    Args:
        {name}: by how much.
    """

    def __init__(self, factor: float) -> None:
        self.factor = factor
'''


def test_versions_are_those_of_the_environment():
    pins = (ROOT / 'requirements/constraints.txt').read_text().splitlines()
    wanted = {pin for hook in HOOKS for pin in hook.get('additional_dependencies', ())}
    assert wanted and wanted <= set(pins)


@pytest.mark.parametrize('code', [FUNCTION, CLASS], ids=['function', 'class'])
@pytest.mark.parametrize(('name', 'problem'), [('factor', ''), ('amount', 'DOC103')])
def test_arguments_of_docstrings_are_checked(tmp_path, code, name, problem):
    pytest.importorskip('pydoclint')
    (tmp_path / 'code.py').write_text(code.format(name=name))
    command = [sys.executable, '-m', 'flake8', '--config', str(ROOT / '.flake8'), str(tmp_path / 'code.py')]
    said = subprocess.run(command, capture_output=True, text=True)
    assert not said.stderr and (problem in said.stdout if problem else not said.stdout)
