"""tools/_launch.py: errors about data are one line."""

import sys

import pytest
from torch._utils import ExceptionWrapper

from tests.helpers.tiny import ROOT
from visionllm_mm.engine.loops import TasksFailedError
from visionllm_mm.engine.tolerant_loops import NothingAnsweredError
from visionllm_mm.image_files import ImageFileError


@pytest.fixture
def stop(monkeypatch):
    """Raises an error as a run does, and returns what the tool prints."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    monkeypatch.setattr(sys, 'argv', ['tools/train.py'])
    from _launch import data_errors_in_one_line

    def run(raise_error) -> str:
        with pytest.raises(SystemExit) as stopped, data_errors_in_one_line():
            raise_error()
        return stopped.value.code

    return run


def _raise(error: Exception):
    raise error


@pytest.mark.parametrize('kind', [ImageFileError, FileNotFoundError, NothingAnsweredError, TasksFailedError])
def test_errors_about_data_are_one_line(stop, kind):
    assert stop(lambda: _raise(kind('a.png: 1 x 2000 px'))) == 'train.py: a.png: 1 x 2000 px'


@pytest.mark.parametrize('kind', [ImageFileError, FileNotFoundError])
def test_those_of_worker_processes_have_no_traceback(stop, kind):
    def in_worker():
        try:
            _raise(kind('a.png: 1 x 2000 px'))
        except kind:
            wrapped = ExceptionWrapper(where='in DataLoader worker process 0')
        wrapped.reraise()

    assert stop(in_worker) == 'train.py: a.png: 1 x 2000 px'


def test_errors_of_the_code_keep_their_traceback(stop):
    with pytest.raises(KeyError):
        stop(lambda: _raise(KeyError('x')))
