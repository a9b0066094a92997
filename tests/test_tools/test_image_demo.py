"""tools/image_demo.py: the examples of its help, as printed, with the released weights."""

import json
import re
import runpy
import shlex
import shutil
import sys

import cv2
import pytest

from tests.helpers.picture_files import write_video
from tests.helpers.tiny import ROOT
from visionllm_mm.miniscenes import DatasetArguments, write_dataset

TOOL = ROOT / 'tools/image_demo.py'


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp('miniscenes')
    write_dataset(folder, DatasetArguments(num_train=1, num_val=2, seed=0))
    return folder


@pytest.fixture
def run(data, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(TOOL.parent))
    monkeypatch.chdir(tmp_path)

    def run(command: str) -> list[str]:
        arguments = [text.replace('data/miniscenes', str(data)) for text in shlex.split(command)]
        monkeypatch.setattr(sys, 'argv', arguments)
        runpy.run_path(str(TOOL), run_name='__main__')
        return capsys.readouterr().out.splitlines()

    return run


def _examples() -> list[str]:
    text = TOOL.read_text().split('"""')[1].replace('\\\\\n', ' ')
    return re.findall(r'python (tools/image_demo.py .+)', text)


def test_there_are_five_examples():
    assert len(_examples()) == 5


@pytest.mark.parametrize('command', _examples())
def test_examples_work_as_printed(run, data, tmp_path, command):
    shown = run(command)
    start = next(i for i, line in enumerate(shown) if line.startswith('-> '))
    assert '<image>' in shown[start - 1] and len(shown) > start + 1
    if '--answer' in command:
        assert shown[start] == '-> <bos>' and re.fullmatch(r'\d+', shown[start + 1])
    elif '--out-dir' not in command:
        assert all(re.match(r'.+ [01]\.\d\d at (\d+, ){3}\d+$', line) for line in shown[start + 1 :])
    else:
        assert shown[-1] == 'pictures and answers are in work_dirs/shown'
        pictures = sorted((tmp_path / 'work_dirs/shown/vis').glob('*.png'))
        assert len(pictures) == len(list((tmp_path / 'work_dirs/shown/preds').glob('*.json'))) >= 1
        original = cv2.imread(str(data / 'val' / pictures[0].name))
        drawn = cv2.imread(str(pictures[0]))
        assert drawn.shape == original.shape and (drawn != original).any()


def test_named_points_and_a_file_of_coco(run, tmp_path):
    shown = run(
        'tools/image_demo.py data/miniscenes/val --keypoints circle star --parts center top --score-thr 0 '
        '--coco found.json'
    )
    assert [line[:4] for line in shown if line.startswith('0000')] == ['0000', '0000']
    found = json.loads((tmp_path / 'found.json').read_text())
    assert len(found['images']) == 2 and found['categories'][0]['keypoints'] == ['center', 'top']


@pytest.fixture
def folder(data, tmp_path):
    """Three pictures, of which the first is cut off, and half a video."""
    folder = tmp_path / 'photos'
    folder.mkdir()
    for name in ('a', 'b', 'c'):
        shutil.copy(data / 'val/000001.png', folder / f'{name}.png')
    whole = (folder / 'a.png').read_bytes()
    (folder / 'a.png').write_bytes(whole[: len(whole) // 2])
    (tmp_path / 'broken.mp4').write_bytes(b'no video')
    write_video(tmp_path / 'short.avi', 2)
    return folder


def test_what_can_not_be_read_is_left_out_and_listed(run, folder, tmp_path):
    shown = run('tools/image_demo.py photos broken.mp4 short.avi --detect star --out-dir out')
    names = [line.partition(': ')[0] for line in shown if ': ' in line and not line.startswith(' ')]
    assert [name for name in names if '.' in name] == ['b.png', 'c.png', 'short.avi, frame 1', 'short.avi, frame 2']
    assert shown[-3:] == [
        '2 could not be read and are left out:',
        '  the image photos/a.png is truncated: its end is missing. Copy it again, or take it out of the data',
        '  broken.mp4 is not a video that OpenCV can read: convert it, for instance to MP4',
    ]
    assert len(list((tmp_path / 'out/vis').iterdir())) == len(list((tmp_path / 'out/preds').iterdir())) == 4


def test_strict_stops_at_the_first(run, folder, tmp_path):
    with pytest.raises(SystemExit, match=r'^image_demo.py: the image photos/a.png is truncated'):
        run('tools/image_demo.py photos --detect star --out-dir out --strict')
    assert not (tmp_path / 'out').exists()
    with pytest.raises(SystemExit, match=r'^image_demo.py: the image photos/a.png is truncated.* \(and 1 more\)$'):
        run('tools/image_demo.py photos/a.png broken.mp4 --caption')
    (tmp_path / 'nothing').mkdir()
    with pytest.raises(SystemExit, match='^image_demo.py: there is no picture in the folder nothing'):
        run('tools/image_demo.py nothing --caption')


def test_bad_requests_are_one_line(run, capsys):
    with pytest.raises(SystemExit):
        run('tools/image_demo.py data/miniscenes/val --keypoints star')
    assert '--keypoints and --parts go together' in capsys.readouterr().err
    with pytest.raises(SystemExit, match='image_demo.py: no image /no/such.png'):
        run('tools/image_demo.py /no/such.png --caption')
    with pytest.raises(SystemExit, match='weights not found: nothing.pth'):
        run('tools/image_demo.py data/miniscenes/val --caption --weights nothing.pth')
