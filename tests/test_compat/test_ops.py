"""The stand-in for mmcv's compiled ops, and that Python finds it before visionllm_mm is imported."""

import importlib
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path

import mmcv.ops
import pytest
import torch

from tests.helpers.tiny import ROOT
from visionllm_mm.compat import ops_finder, ops_stand_in
from visionllm_mm.compat.environment import install_ops_stand_in, ops_state

ASK_FOR_OPS = 'import sys, mmcv._ext; print(mmcv._ext.__file__, "visionllm_mm" in sys.modules)'
ASK_FOR_MODULES = 'import sys; print([name for name in sys.modules if name.startswith(("visionllm", "torch", "mm"))])'


@pytest.fixture
def python(tmp_path):
    """Runs code in a new interpreter of this environment, and returns its result. Nothing is imported before."""
    installed = find_spec('visionllm_mm_ops')
    if installed is None:
        pytest.fail('visionllm_mm was installed here before it brought visionllm_mm_ops.pth along: run `make install`')
    if Path(installed.origin).read_text() != Path(ops_finder.__file__).read_text():
        pytest.fail('the installed visionllm_mm_ops is another than compat/ops_finder.py: run `make install`')

    def run(code):
        # The folder comes before all installed packages, so that a test can put an mmcv of its own there.
        command = [sys.executable, '-c', code]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    return run


@pytest.fixture
def other_mmcv(tmp_path):
    """The folder of an empty mmcv, which an interpreter of `python` imports."""
    folder = tmp_path / 'mmcv'
    folder.mkdir()
    (folder / '__init__.py').touch()
    return folder


def test_stand_in_has_every_op_and_no_dunder_name():
    assert hasattr(ops_stand_in, 'an_op_of_the_future') and ops_stand_in.nms is ops_stand_in.nms
    assert not hasattr(ops_stand_in, '__path__')
    with pytest.raises(RuntimeError, match="'nms' is not built: run `make install-ops`"):
        ops_stand_in.nms(1, iou_threshold=0.5)
    with pytest.raises(RuntimeError, match='CUDA_VISIBLE_DEVICES='):
        ops_stand_in.ms_deform_attn_forward()


def test_stand_in_is_where_the_ops_are_missing_and_only_there():
    in_place = hasattr(sys.modules['mmcv._ext'], '__stand_in__')
    assert in_place == (ops_state() == 'missing')
    assert install_ops_stand_in() == in_place
    assert find_spec('mmcv._ext') is not None  # mmcv's own check does not fail on it


@pytest.mark.skipif(ops_state() == 'built', reason="mmcv's ops are built here")
def test_missing_op_says_so_when_mmcv_calls_it():
    with pytest.raises(RuntimeError, match="mmcv op 'nms' is not built"):
        mmcv.ops.nms(torch.rand(2, 4), torch.rand(2), 0.5)


@pytest.mark.skipif(ops_state() == 'built', reason="mmcv's ops are built here")
def test_mmcv_reports_its_environment_without_ops():
    assert mmcv.ops.get_compiler_version() == mmcv.ops.get_compiling_cuda_version() == 'n/a'


@pytest.mark.ops
def test_real_ops_are_used_where_they_are_built():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10]])
    _, kept = mmcv.ops.nms(boxes, torch.tensor([0.9, 0.8]), 0.5)
    assert kept.tolist() == [0]


def test_mmdet_comes_before_visionllm_mm(python):
    code = (
        'import sys, mmdet.models; assert "visionllm_mm" not in sys.modules;'
        'from mmdet.utils import register_all_modules; register_all_modules();'
        'from mmdet.apis import DetInferencer; import visionllm_mm;'
        'from mmdet.registry import MODELS; assert "VisionLLM" in MODELS'
    )
    result = python(code)
    assert result.returncode == 0, result.stderr


def test_missing_ops_are_found_as_the_stand_in(python, other_mmcv):
    result = python(ASK_FOR_OPS)
    file, visionllm_mm_is_imported = result.stdout.split() or pytest.fail(result.stderr)
    assert Path(file).name == 'ops_stand_in.py' and visionllm_mm_is_imported == 'False'


def test_only_the_missing_ops_are_found(python, other_mmcv):
    result = python('import mmcv._ext2')
    assert "ModuleNotFoundError: No module named 'mmcv._ext2'" in result.stderr


def test_built_ops_are_left_alone(python, other_mmcv):
    ops = other_mmcv / '_ext.py'
    ops.touch()
    result = python(ASK_FOR_OPS)
    assert result.stdout.split() == [str(ops), 'False'], result.stderr


def test_install_ops_does_not_take_the_stand_in_for_the_ops(python, other_mmcv, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    import install_ops

    (tmp_path / 'torch.py').touch()
    assert python(install_ops.IMPORT_OPS).returncode == 1
    (other_mmcv / '_ext.py').touch()
    assert python(install_ops.IMPORT_OPS).returncode == 0


def test_ops_that_do_not_load_raise_their_own_error(python, other_mmcv):
    ops = other_mmcv / f'_ext{EXTENSION_SUFFIXES[0]}'
    ops.touch()
    result = python('import mmcv._ext')
    assert f'ImportError: {ops}: file too short' in result.stderr and 'stand_in' not in result.stderr


def test_start_of_python_loads_nothing_but_the_finder(python):
    result = python(ASK_FOR_MODULES)
    assert result.stdout.strip() == "['visionllm_mm_ops']", result.stderr


def test_finder_answers_none_without_the_package(monkeypatch):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    assert ops_finder.OpsFinder.find_spec('mmcv._ext') is None


def test_a_checkout_on_the_path_gets_the_finder_by_import(monkeypatch):
    """Without the .pth file: `python -S`, or PYTHONPATH."""
    finders = [finder for finder in sys.meta_path if getattr(finder, '__name__', '') != 'OpsFinder']
    monkeypatch.setattr(sys, 'meta_path', finders)
    monkeypatch.setitem(sys.modules, 'mmcv._ext', sys.modules['mmcv._ext'])
    del sys.modules['mmcv._ext']
    in_place = install_ops_stand_in()
    assert in_place == hasattr(importlib.import_module('mmcv._ext'), '__stand_in__')
    assert in_place == (ops_finder.OpsFinder in finders)
