"""tools/check_env.py reports, whatever is missing."""

import subprocess
import sys
import venv

import pytest


@pytest.fixture
def check_env(repo_root):
    def run(python, *options):
        command = [str(python), *options, str(repo_root / 'tools' / 'check_env.py')]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    return run


def test_names_every_requirement_here(check_env):
    report = check_env(sys.executable)
    for name in ('torch', 'transformers', 'mmengine', 'mmcv', 'mmdet', 'mmcv ops', 'GPU', 'java'):
        assert f'  {name} ' in report.stdout
    assert 'Traceback' not in report.stderr
    # 1 is right too: the tests may run in a checkout that is not installed.
    assert report.returncode in (0, 1)
    assert ('It can run visionllm_mm.' in report.stdout) == (report.returncode == 0)


def test_works_in_an_empty_environment(check_env, tmp_path):
    venv.create(tmp_path / 'empty', with_pip=False)
    report = check_env(tmp_path / 'empty' / 'bin' / 'python')
    assert report.returncode == 1, report.stderr
    assert 'mmdet         not found (wanted >=3.3.0,<3.7, tested 3.5.1)' in report.stdout
    assert 'pip install torch==2.13.0' in report.stdout
    assert report.stderr == ''
