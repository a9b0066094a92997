"""README and docs: Python blocks run, commands exist with the options that they are given, links lead somewhere."""

import functools
import os
import re
import shutil
import subprocess
import sys

import pytest
from mmengine.config import Config

from tests.helpers.scenes import make_coco_folder, save_untrained
from tests.helpers.tiny import ROOT, save_bert
from visionllm_mm.miniscenes import DatasetArguments, write_dataset

# Programs of this environment, whether it is activated or not.
_PATH = os.pathsep.join([os.path.dirname(sys.executable), os.environ['PATH']])
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]


def _blocks(page, language):
    return re.findall(rf'^```{language}\n(.*?)^```', page.read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture(scope='module')
def checkout(tmp_path_factory):
    """A folder that looks like a checkout in which the trainings of the README were run."""
    folder = tmp_path_factory.mktemp('checkout')
    for name in ('configs', 'checkpoints', 'tools'):
        (folder / name).symlink_to(ROOT / name)
    write_dataset(folder / 'data/miniscenes', DatasetArguments(num_train=1, num_val=2, seed=0))
    make_coco_folder(folder / 'own')
    save_bert(folder / 'bert')
    _save_untrained('visionllm-tiny_miniscenes-det', folder / 'work_dirs/train-demo/epoch_2.pth', folder)
    _save_untrained('visionllm-small_own-photos', folder / 'work_dirs/mine/best_coco_bbox_mAP_epoch_5.pth', folder)
    shutil.copy(folder / 'work_dirs/mine/best_coco_bbox_mAP_epoch_5.pth', folder / 'work_dirs/mine.pth')
    return folder


def _save_untrained(name, path, folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('DATA_ROOT', str(folder / 'own'))
        cfg = Config.fromfile(ROOT / f'configs/visionllm/{name}.py')
    save_untrained(cfg, path)
    cfg.dump(str(path.parent / f'{name}.py'))


@pytest.mark.parametrize('page', [page for page in PAGES if _blocks(page, 'python')], ids=lambda page: page.name)
def test_python_blocks_run(page, checkout, monkeypatch, capsys):
    monkeypatch.chdir(checkout)
    names = {'__name__': 'docs', '__all__': []}
    for block in _blocks(page, 'python'):
        code = block.replace('/path/to/folder', str(checkout / 'own'))
        code = code.replace('/path/to/my_data', str(checkout / 'own'))
        code = code.replace('bert-base-uncased', str(checkout / 'bert'))
        exec(compile(code, str(page), 'exec'), names)


@pytest.mark.slow
def test_the_site_is_built_without_warnings(tmp_path):
    """Pages, the API's docstrings, and links between pages with the headings that they name."""
    done = subprocess.run(
        ['mkdocs', 'build', '--quiet', '--strict', '--site-dir', str(tmp_path / 'site')],
        cwd=ROOT,
        env=os.environ | dict(NO_MKDOCS_2_WARNING='1', PATH=_PATH),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and not done.stderr.strip(), done.stderr[-2000:]
    assert (tmp_path / 'site/index.html').is_file()


def test_headings_that_the_readme_links_to_exist():
    for page, heading in re.findall(r'\]\((docs/[\w.]+)#([\w-]+)\)', PAGES[0].read_text()):
        titles = re.findall(r'^#+ (.+)$', (ROOT / page).read_text(), re.MULTILINE)
        assert heading in [re.sub(r'[^\w -]', '', title.lower()).replace(' ', '-') for title in titles], (page, heading)


@functools.cache
def _help(tool):
    return subprocess.run([sys.executable, str(ROOT / tool), '-h'], capture_output=True, text=True, check=True).stdout


def _commands(page):
    text = page.read_text().replace('\\\n', ' ')
    return re.findall(r'python (tools/\w+\.py)([^`#|\n]*)', text)


@pytest.mark.parametrize('page', [page for page in PAGES if _commands(page)], ids=lambda page: page.name)
def test_commands_have_these_options(page):
    for tool, arguments in _commands(page):
        known = _help(tool)
        for option in re.findall(r'(?<![\w-])--[a-z][\w-]*', arguments):
            assert option in known, f'{page.name}: {tool} has no {option}'
        for path in re.findall(r'(?:configs|checkpoints)/[\w./-]+\.(?:py|pth)', arguments):
            assert (ROOT / path).is_file(), f'{page.name}: there is no {path}'


def test_what_commands_write_lies_below_work_dirs_or_data():
    """A checkout stays clean; words in capitals stand for a place of the reader's."""
    option = r"(?:--(?:out|out-dir|show-dir|work-dir|coco)[ =]|out_dir=)['\"]?([\w./-]+)"
    for page in PAGES:
        for path in re.findall(option, page.read_text()):
            assert re.match(r'(work_dirs|data)/|[A-Z_]+(\.\w+)?$', path), f'{page.name}: {path}'


def test_make_targets_exist():
    targets = set(re.findall(r'^([a-z-]+):', (ROOT / 'Makefile').read_text(), re.MULTILINE))
    for page in PAGES:
        named = re.findall(r'(?:^|`)make ([a-z-]+)(?= |`|$)', page.read_text(), re.MULTILINE)
        assert set(named) <= targets, f'{page.name}: {set(named) - targets}'


def test_links_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r'\]\(([^)#\s]+)(?:#[^)]*)?\)', page.read_text()):
            if '://' not in target:
                assert (page.parent / target).exists(), f'{page.name}: {target}'
