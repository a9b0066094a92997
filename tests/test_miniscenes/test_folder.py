"""MiniScenes is made whole, the same again, and never over something else."""

import importlib.util
import signal

import numpy as np
import pytest

from tests.helpers.miniscenes import ARGUMENTS, read
from visionllm_mm.miniscenes import (
    DatasetArguments,
    FolderInUseError,
    find_existing,
    make_example,
    write_dataset,
)


def contents(folder, pattern='**/*'):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob(pattern)) if path.is_file()}


def test_same_arguments_give_the_same_bytes(miniscenes, tmp_path):
    write_dataset(tmp_path / 'again', ARGUMENTS)
    assert contents(tmp_path / 'again') == contents(miniscenes)
    assert sorted(contents(miniscenes)) == sorted(ARGUMENTS.file_names())


def test_validation_does_not_depend_on_the_number_of_training_images(miniscenes, tmp_path):
    write_dataset(tmp_path / 'short', DatasetArguments(num_train=7, num_val=40))
    for pattern in ('val/*', 'annotations/*_val.json'):
        assert contents(tmp_path / 'short', pattern) == contents(miniscenes, pattern)
    train = contents(tmp_path / 'short', 'train/*')
    assert len(train) == 7 and train.items() <= contents(miniscenes, 'train/*').items()
    short = read(tmp_path / 'short', 'refexp_train')['annotations']
    assert short == read(miniscenes, 'refexp_train')['annotations'][: len(short)]


def test_another_seed_and_another_size_give_other_scenes():
    first, second = make_example(0, 'val', 0, 64), make_example(1, 'val', 0, 64)
    assert first.image.shape == second.image.shape == (64, 64, 3)
    assert not np.array_equal(first.image, second.image)
    assert make_example(0, 'val', 0, 200).image.shape == (200, 200, 3)


@pytest.mark.parametrize('stop_at', [('train', 1), ('val', 2)])
def test_an_interrupted_run_leaves_nothing(tmp_path, stop_at):

    def interrupt(split, done):
        if (split, done) == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path / 'out', DatasetArguments(2, 2), interrupt)
    assert list(tmp_path.iterdir()) == []


def test_existing_folders(miniscenes, tmp_path):
    assert find_existing(tmp_path / 'new', ARGUMENTS) is None
    assert find_existing(tmp_path, ARGUMENTS) is None  # empty
    assert find_existing(miniscenes, ARGUMENTS)['arguments']['num_train'] == 60
    with pytest.raises(FolderInUseError, match="'num_train': 60"):
        find_existing(miniscenes, DatasetArguments(num_train=61, num_val=40))
    (tmp_path / 'thesis.tex').write_text('mine')
    with pytest.raises(FolderInUseError, match='not a MiniScenes'):
        find_existing(tmp_path, ARGUMENTS)
    with pytest.raises(FolderInUseError, match='not an empty folder'):
        write_dataset(tmp_path, ARGUMENTS)
    assert contents(tmp_path) == {'thesis.tex': b'mine'}


def test_a_data_set_with_missing_files_is_reported(tmp_path):
    arguments = DatasetArguments(1, 1)
    write_dataset(tmp_path / 'out', arguments)
    (tmp_path / 'out/val/000001.png').unlink()
    with pytest.raises(FolderInUseError, match='1 of its files .* val/000001.png'):
        find_existing(tmp_path / 'out', arguments)


@pytest.fixture
def run_tool(repo_root, monkeypatch):
    path = repo_root / 'tools/prepare_miniscenes.py'
    spec = importlib.util.spec_from_file_location('prepare_miniscenes', path)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    monkeypatch.setattr(signal, 'signal', lambda *_: None)  # leave pytest's own handlers alone

    def run(*args):
        monkeypatch.setattr('sys.argv', ['prepare_miniscenes.py', *map(str, args)])
        return tool.main()

    return run


def test_tool_makes_keeps_and_refuses(run_tool, tmp_path, capsys):
    small = ('--out', tmp_path / 'out', '--num-train', 2, '--num-val', 2)
    assert run_tool(*small) == 0
    assert 'trivial baselines' in capsys.readouterr().out
    before = contents(tmp_path / 'out')
    assert run_tool(*small) == 0
    assert 'nothing to do' in capsys.readouterr().out
    assert run_tool(*small, '--seed', 5) == 1
    assert 'Delete the folder or choose another with --out' in capsys.readouterr().err
    assert contents(tmp_path / 'out') == before


@pytest.mark.parametrize('arguments', [('--num-train', '0'), ('--size', '63'), ('--seed', '-1'), ('--num-val', 'many')])
def test_tool_names_a_bad_argument(run_tool, arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        run_tool(*arguments)
    assert stop.value.code == 2
    assert arguments[0] in capsys.readouterr().err
