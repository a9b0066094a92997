"""The shell commands of README and docs, run as they are printed, page by page, by :mod:`tests.helpers.short_run`."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.real_layouts import make_real_layouts
from tests.helpers.scenes import make_coco_folder
from tests.helpers.tiny import ROOT, save_bert, save_llama

ELSEWHERE = {
    'make': 'installs, starts servers and tests; tests/test_docs.py looks for the targets',
    'pip': 'downloads; tests/integration/test_wheel_mim.py builds and installs the wheel',
    'mim': 'tests/integration/test_wheel_mim.py',
    'torchrun': 'tests/integration/test_distributed.py',
}
"""Commands that do nothing here, and where they are run."""
TOOLS_ELSEWHERE = {
    'export_gguf.py': 'tests/test_tools/test_export_gguf.py',
    'get_pretrained.py': 'tests/test_convert/test_packages.py',
    'prepare_tree_crowns.py': 'tests/test_convert/test_tree_crowns.py',
    'web_demo.py': 'tests/integration/test_browser.py',
    'expand_templates.py': 'tests/test_tools/test_template_tools.py',
}
"""The same for tools: they download, or serve until they are stopped."""
PLACEHOLDERS = {
    '/path/to/folder': 'own',
    '/path/to/my_data': 'own',
    'DIR': 'work_dirs/detector',
    'CONFIG': 'configs/visionllm/visionllm-tiny_miniscenes-det.py',
    # A tiny one of random weights in the place of what would be a download.
    'work_dirs/pretrained/smollm2': 'llm',
    'work_dirs/pretrained/minilm': 'bert',
}


def _blocks(page: Path) -> list[str]:
    return re.findall(r'^```bash\n(.*?)^```', page.read_text(), re.DOTALL | re.MULTILINE)


PAGES = [page for page in (ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))) if _blocks(page)]


def test_every_block_says_what_it_is():
    """Shell commands are in blocks of bash, so that they are run here."""
    for page in (ROOT / 'README.md', *(ROOT / 'docs').glob('*.md')):
        for language, block in re.findall(r'^```(\S*)\n(.*?)^```$', page.read_text(), re.DOTALL | re.MULTILINE):
            assert language, f'{page.name}: which language is {block[:60]!r}?'
            synopsis_or_interngpt = ' | ' in block or 'app.py' in block
            commands = re.search(r'^(python|make|pip) ', block, re.MULTILINE)
            assert language == 'bash' or synopsis_or_interngpt or not commands, block[:60]


@pytest.fixture
def checkout(tmp_path):
    """What a user has who cloned, installed and drew a small MiniScenes, and data of their own."""
    for name in ('configs', 'checkpoints', 'tools', 'tests', 'Makefile'):
        (tmp_path / name).symlink_to(ROOT / name)
    make_coco_folder(tmp_path / 'own')
    make_coco_folder(tmp_path / 'data/tree_crowns')
    save_llama(tmp_path / 'llm', max_position_embeddings=4096)
    save_bert(tmp_path / 'bert', max_position_embeddings=2048)
    (tmp_path / '.venv/bin').mkdir(parents=True)
    (tmp_path / '.venv/bin/activate').touch()
    shims = dict.fromkeys(ELSEWHERE, 'exit 0')
    shims['python'] = f'exec {sys.executable} {ROOT}/tests/helpers/short_run.py "$@"'
    (tmp_path / 'shims').mkdir()
    for name, script in shims.items():
        path = tmp_path / 'shims' / name
        path.write_text(f'#!/bin/bash\n{script}\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_commands_run(page, checkout):
    script = '\n'.join(_blocks(page))
    if 'data/coco' in script:
        make_real_layouts(checkout / 'data/coco')
    for placeholder, value in PLACEHOLDERS.items():
        script = re.sub(rf'(?<![\w/]){placeholder}(?![\w/])', value, script)
    for tool in TOOLS_ELSEWHERE:
        script = re.sub(rf'^(\w+=\S+ )?python tools/{tool}', 'true', script, flags=re.MULTILINE)
    script = f'set -e\npython tools/prepare_miniscenes.py\nset -x\n{script}'
    environment = os.environ | dict(PATH=f'{checkout}/shims:{os.environ["PATH"]}')
    done = subprocess.run(['bash', '-c', script], cwd=checkout, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f'{page.name}\n{done.stderr[-3000:]}'
