"""tools/_launch.py: what tools print, in one line, where a config, its variables, a model or data can't be used."""

import runpy
import sys
from types import SimpleNamespace

import pytest
from mmengine.config import Config
from mmengine.runner import Runner
from torch._utils import ExceptionWrapper

from tests.helpers.tiny import ROOT
from visionllm_mm.engine.loops import TasksFailedError
from visionllm_mm.engine.tolerant_loops import NothingAnsweredError
from visionllm_mm.image_files import ImageFileError

PRETRAINED = ROOT / 'configs/visionllm/visionllm-tiny_pretrained-llm_miniscenes-det.py'


@pytest.fixture
def tool(monkeypatch):
    """The functions of ``tools/_launch.py``, in train.py."""
    monkeypatch.setattr(sys, 'argv', ['/somewhere/tools/train.py'])
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    return SimpleNamespace(**runpy.run_path(str(ROOT / 'tools/_launch.py')))


def _refuses(call, *arguments) -> str:
    with pytest.raises(SystemExit) as stop:
        call(*arguments)
    message = str(stop.value)
    assert message.startswith('train.py: ') and '\n' not in message
    return message


@pytest.mark.parametrize('name', ['LLM', 'MINISCENES_ROOT'])
def test_empty_variables_are_named(tool, monkeypatch, name):
    monkeypatch.setenv(name, ' ')
    assert f'the environment variable {name} is set, but empty' in _refuses(tool.read_config, str(PRETRAINED))


@pytest.mark.parametrize('value', ["o'neil", r'C:\Users', r'x\1', r'x\g<0>', r'a\b', '', 'say "hi"'])
def test_variables_that_mmengine_would_change_are_named(tool, monkeypatch, tmp_path, value):
    (tmp_path / 'own.py').write_text("root = '{{$OWN_ROOT:here}}/'\n")
    monkeypatch.setenv('OWN_ROOT', value)
    message = _refuses(tool.read_config, str(tmp_path / 'own.py'))
    assert 'own.py: the environment variable OWN_ROOT is ' in message and 'write from_environment' in message


@pytest.mark.parametrize(
    'text, words',
    [
        ("root = '{{$OWN_ROOT:}}'", '`OWN_ROOT` cannot be found'),
        ('size = (3', 'never closed'),
        ("_base_ = 'none.py'", 'none.py'),
        ("raise ValueError('what is wrong')", 'what is wrong'),
    ],
)
def test_configs_that_can_not_be_read_are_named(tool, monkeypatch, tmp_path, text, words):
    monkeypatch.delenv('OWN_ROOT', raising=False)
    (tmp_path / 'own.py').write_text(f'{text}\n')
    message = _refuses(tool.read_config, str(tmp_path / 'own.py'))
    assert 'own.py: ' in message and words in message


def test_settings_without_effect_are_named(tool, tmp_path):
    (tmp_path / 'saved.py').write_text('num_tokens = 20\nmodel = dict(num_tokens=20)\n')
    message = _refuses(tool.read_config, str(tmp_path / 'saved.py'), ['num_tokens=30'])
    assert message.endswith('saved.py: num_tokens = 30 changes nothing: set model.num_tokens instead')


@pytest.mark.parametrize('part', [dict(metainfo=dict(classes=())), dict(pipeline=[dict(type='Ask', classes=[])])])
def test_class_sets_without_a_class_are_named(tool, part):
    cfg = Config(dict(train_dataloader=dict(dataset=part)))
    message = _refuses(tool.require_data, cfg, 'train_dataloader')
    assert '.classes of None is empty: name at least one class, or leave it out' in message


@pytest.mark.parametrize('error', [FileNotFoundError, ValueError, ImportError])
def test_models_that_can_not_be_built_are_named(tool, monkeypatch, error):
    def build(cfg):
        raise error('no folder /no/such to load the LLM from: give a folder, or the name of a model on the hub')

    monkeypatch.setattr(Runner, 'from_cfg', build)
    assert 'no folder /no/such' in _refuses(tool.build_runner, Config(dict()))


def test_an_llm_that_can_not_be_warmed_up_is_named(tool, monkeypatch):
    def check(runner):
        raise ValueError('the tokenizer has no word')

    monkeypatch.setattr(Runner, 'from_cfg', lambda cfg: SimpleNamespace(hooks=[object(), SimpleNamespace(check=check)]))
    assert _refuses(tool.build_runner, Config(dict())) == 'train.py: the tokenizer has no word'


def test_all_warm_ups_are_shortened_or_left_out_by_one_switch(tool):
    set_warmup_iters = runpy.run_path(str(ROOT / 'tools/train.py'))['set_warmup_iters']
    name = ROOT / 'configs/visionllm/visionllm-tiny_miniscenes-multitask.py'
    cfg = tool.read_config(str(name))
    set_warmup_iters(cfg, 2)
    counts = [hook.num_iters for hook in cfg.default_hooks.values() if 'Warmup' in hook.type]
    assert counts == [2] * 6
    set_warmup_iters(cfg, 0)
    assert [hook for hook in cfg.default_hooks.values() if hook and 'Warmup' in hook.type] == []
    assert 'has no warm-up' in _refuses(set_warmup_iters, Config(dict(default_hooks=dict(logger=None))), 2)


def _run(tool, raise_error):
    with tool.data_errors_in_one_line():
        raise_error()


def _raise(error: Exception):
    raise error


@pytest.mark.parametrize('kind', [ImageFileError, FileNotFoundError, NothingAnsweredError, TasksFailedError])
def test_errors_about_data_are_one_line(tool, kind):
    message = _refuses(_run, tool, lambda: _raise(kind('a.png: 1 x 2000 px')))
    assert message == 'train.py: a.png: 1 x 2000 px'


@pytest.mark.parametrize('kind', [ImageFileError, FileNotFoundError])
def test_those_of_worker_processes_have_no_traceback(tool, kind):
    def in_worker():
        try:
            _raise(kind('a.png: 1 x 2000 px'))
        except kind:
            wrapped = ExceptionWrapper(where='in DataLoader worker process 0')
        wrapped.reraise()

    assert _refuses(_run, tool, in_worker) == 'train.py: a.png: 1 x 2000 px'


def test_errors_of_the_code_keep_their_traceback(tool):
    with pytest.raises(KeyError):
        _run(tool, lambda: _raise(KeyError('x')))
