"""The paper's model needs nothing of visionllm_mm/small_llm."""

import ast
import subprocess
import sys

import pytest
from mmengine.config import Config

from tests.helpers.tiny import ROOT, save_bert, save_llama
from visionllm_mm import small_llm

SCRIPT = """
import sys

sys.modules['visionllm_mm.small_llm'] = None  # importing it raises a ModuleNotFoundError
import visionllm_mm
from tests.helpers.paper_step import run

run(sys.argv[1])
imported = [name for name, module in sys.modules.items() if name.startswith('visionllm_mm.small_llm') and module]
assert not imported, imported
"""
PACKAGE = ROOT / 'visionllm_mm'
CONFIGS = [
    pytest.param('visionllm_r50-bert-llama7b_stage1_coco', marks=pytest.mark.slow),
    'visionllm_r50-bert-llama7b_stage2_multitask',
    pytest.param('visionllm_internimage-h-bert-llama7b_stage1_coco', marks=pytest.mark.slow),
]


def _types(part):
    """All values of ``type`` in a part of a config."""
    if isinstance(part, dict):
        yield from ([part['type']] if 'type' in part else [])
        part = part.values()
    for inner in part if not isinstance(part, str) and hasattr(part, '__iter__') else ():
        yield from _types(inner)


@pytest.mark.parametrize('name', CONFIGS)
def test_paper_configs_train_and_predict(name, tmp_path, monkeypatch):
    for variable, save in (('LLM', save_llama), ('BERT', save_bert)):
        save(tmp_path / variable)
        monkeypatch.setenv(variable, str(tmp_path / variable))
    config = ROOT / f'configs/visionllm/{name}.py'
    assert not set(_types(Config.fromfile(config))) & set(small_llm.__all__)
    command = [sys.executable, '-c', SCRIPT, str(config)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]


def _uses(path):
    """What a file imports of small_llm, and the classes of small_llm that its code names; strings may name them."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            imported = [getattr(node, 'module', None) or '', *(alias.name for alias in node.names)]
            if any('small_llm' in module.split('.') for module in imported):
                yield ast.unparse(node)
        elif isinstance(node, ast.Name | ast.Attribute):
            name = node.id if isinstance(node, ast.Name) else node.attr
            if name in small_llm.__all__:
                yield name


def test_no_other_module_uses_it():
    own, init = PACKAGE / 'small_llm', PACKAGE / '__init__.py'
    assert list(_uses(init)) == ['from visionllm_mm import small_llm']
    files = [path for path in PACKAGE.rglob('*.py') if not {own, PACKAGE / '.mim'} & {*path.parents} and path != init]
    assert len(files) > 60
    assert not {str(path): uses for path in files if (uses := list(_uses(path)))}
