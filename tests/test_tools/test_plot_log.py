"""tools/plot_log.py: curves of logs as mmengine writes them."""

import json
import runpy
import sys

import pytest
from PIL import Image

from tests.helpers.tiny import ROOT

TOOL = ROOT / 'tools/plot_log.py'


def _train(iteration, epoch=1, **values):
    return dict(lr=1e-3, loss=10 / iteration, time=0.5, epoch=epoch, iter=iteration, step=iteration) | values


def _validate(epoch, score):
    return {'coco/bbox_mAP': score, 'coco/bbox_mAP_l': -1.0, 'time': 0.2, 'step': epoch}


def _write(run, lines, time='20260101_000000', end=''):
    path = run / time / 'vis_data/scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text('\n'.join(map(json.dumps, lines)) + end)
    return path


@pytest.fixture
def run(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
        runpy.run_path(str(TOOL), run_name='__main__')
        return capsys.readouterr().out.splitlines()

    return run


def test_losses_and_metrics_of_two_runs(run, tmp_path):
    _write(tmp_path / 'a', [_train(50), _train(100), _validate(1, 0.2), _train(150, 2), _validate(2, 0.1)])
    _write(tmp_path / 'b', [_train(50), _train(100, loss=3.0)])
    lines = run(tmp_path / 'a', tmp_path / 'b', '--out', tmp_path / 'new/both.png')
    assert lines == [
        f'{tmp_path}/a: loss lowest 0.06667 at iteration 150, last 0.06667',
        f'{tmp_path}/a: coco/bbox_mAP highest 0.2 at iteration 100, last 0.1',
        f'{tmp_path}/b: loss lowest 0.2 at iteration 50, last 3',
        f'the picture is {tmp_path}/new/both.png',
    ]
    assert Image.open(tmp_path / 'new/both.png').size[0] > 1000  # two plots side by side


def test_what_is_asked_for_is_plotted(run, tmp_path):
    _write(tmp_path, [_train(50, grad_norm=2.0), _train(100, grad_norm=1.0)], end='\n{"loss": 0.0')  # cut off
    assert run(tmp_path, '--keys', 'grad_norm', 'lr')[0].endswith('grad_norm lowest 1 at iteration 100, last 1')
    assert (tmp_path / 'curves.png').is_file()
    with pytest.raises(
        SystemExit, match="plot_log.py: no run has 'mAP' in its log; there are grad_norm, loss, lr, time"
    ):
        run(tmp_path, '--keys', 'mAP')


def test_a_resumed_run_is_joined_and_one_begun_again_counts_alone(tmp_path):
    read_run = runpy.run_path(str(TOOL))['read_run']
    _write(tmp_path, [_train(i) for i in (50, 100, 150)])
    _write(tmp_path, [_train(i, loss=7.0) for i in (110, 160)], '20260102_000000')
    assert read_run(tmp_path)['loss'] == [(50, 0.2), (100, 0.1), (110, 7.0), (160, 7.0)]
    _write(tmp_path, [_train(50, loss=8.0)], '20260103_000000')
    assert read_run(tmp_path)['loss'] == [(50, 8.0)]


def test_a_log_may_be_named_itself(run, tmp_path):
    path = _write(tmp_path, [_train(50)])
    assert run(path)[-1] == f'the picture is {path.with_suffix(".png")}'
    assert run(path.parents[1])[-1].endswith('curves.png')


@pytest.mark.parametrize(
    'content, message',
    [
        (None, 'no training log in .*: name the work folder of a training'),
        ('', 'nothing is logged yet in'),
        ('{"loss": 1.0, "iter": 5}\nloss\n{}\n', 'line 2 of .*scalars.json is no JSON'),
    ],
)
def test_folders_without_a_log_are_named(run, tmp_path, content, message):
    if content is not None:
        _write(tmp_path, []).write_text(content)
    with pytest.raises(SystemExit, match=f'plot_log.py: {message}'):
        run(tmp_path)


def test_kinds_of_pictures_that_can_not_be_written_are_named(run, tmp_path):
    _write(tmp_path, [_train(50)])
    with pytest.raises(SystemExit, match=r'plot_log.py: .*curves.xyz can not be written: '):
        run(tmp_path, '--out', tmp_path / 'curves.xyz')
