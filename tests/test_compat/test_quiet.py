"""compat/quiet.py: lines without news are left out, all else is shown."""

import os
import subprocess
import sys
import warnings

import pytest
from PIL import Image

from tests.helpers.tiny import ROOT
from visionllm_mm.compat import quiet

NOISE = (
    'OneDL',
    'faster_coco_eval',
    'MINISCENES_ROOT',
    'Failed to search registry',
    'LocalVisBackend',
    'meshgrid',
    'Warning',
    'WARNING',
)


@pytest.mark.parametrize(
    'command',
    [
        ['-c', 'import visionllm_mm'],
        ['tools/image_demo.py', '{image}', '--detect', 'circle', 'star', '--out-dir', '{folder}'],
        ['tools/browse_dataset.py', 'configs/visionllm/visionllm-tiny_miniscenes-det.py', '--out-dir', '{folder}'],
    ],
    ids=['import', 'image_demo', 'browse_dataset'],
)
def test_commands_begin_with_what_matters(command, miniscenes, tmp_path):
    Image.new('RGB', (96, 96), 'gray').save(tmp_path / 'image.png')
    command = [part.format(image=tmp_path / 'image.png', folder=tmp_path / 'out') for part in command]
    env = os.environ | dict(MINISCENES_ROOT=str(miniscenes), PYTHONPATH=str(ROOT), CUDA_VISIBLE_DEVICES='')
    done = subprocess.run([sys.executable, *command], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    assert not [line for line in said.splitlines() if any(noise in line for noise in NOISE)]
    assert bool(said) == (command[0] != '-c')


def test_other_lines_of_an_import_are_shown(monkeypatch, capsys):
    def import_module(name):
        print(quiet.ONEDL_LINE)
        print(f'{name} says more')
        warnings.warn('faster_coco_eval is not installed, metrics will not be computed', stacklevel=1)
        warnings.warn('of another kind', FutureWarning, stacklevel=1)
        raise ImportError('and fails')

    monkeypatch.setattr(quiet.importlib, 'import_module', import_module)
    with pytest.warns(FutureWarning) as caught, pytest.raises(ImportError, match='and fails'):
        quiet.import_mmdet()
    assert [str(warning.message) for warning in caught] == ['of another kind']
    assert capsys.readouterr().out == 'mmdet.datasets says more\n'
