"""tools/train.py --epochs: another length of the training, and of the schedules that end with it."""

import math
import runpy
import sys

import pytest
from mmengine.config import Config
from mmengine.optim import CosineAnnealingLR
from mmengine.runner import Runner

from tests.helpers.tiny import CONFIG, ROOT, model_config

TOOL = ROOT / 'tools/train.py'


@pytest.fixture
def set_epochs(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOL.parent))
    return runpy.run_path(str(TOOL))['set_epochs']


def _config(**settings) -> Config:
    """Of a training of 12 epochs."""
    return Config(dict(train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=12)) | settings)


@pytest.mark.parametrize('train_cfg', [dict(type='EpochBasedTrainLoop'), dict(by_epoch=True)])
def test_the_length_is_set(set_epochs, train_cfg):
    cfg = _config(train_cfg=train_cfg | dict(max_epochs=12))
    set_epochs(cfg, 3)
    assert cfg.train_cfg == train_cfg | dict(max_epochs=3)


def test_schedules_that_end_with_the_training_still_do(set_epochs):
    cfg = _config(
        param_scheduler=[
            dict(type='LinearLR', by_epoch=False, begin=0, end=12),
            dict(type='MultiStepLR', by_epoch=True, begin=0, end=12, milestones=[8, 11]),
            dict(type='CosineAnnealingLR', T_max=12),
            dict(type='ConstantLR', by_epoch=True, begin=0, end=2),
            dict(type='CosineAnnealingLR', by_epoch=True),
        ]
    )
    set_epochs(cfg, 30)
    # Iterations, and a schedule that ends before the training, stay.
    assert [scheduler.get('end') for scheduler in cfg.param_scheduler] == [12, 30, None, 2, None]
    assert [scheduler.get('T_max') for scheduler in cfg.param_scheduler] == [None, None, 30, None, None]
    assert cfg.param_scheduler[1].milestones == [8, 11]


def test_one_schedule_and_none(set_epochs):
    cfg = _config(param_scheduler=dict(type='PolyLR', end=12))
    set_epochs(cfg, 4)
    assert cfg.param_scheduler.end == 4
    cfg.param_scheduler = None
    set_epochs(cfg, 5)
    assert cfg.train_cfg.max_epochs == 5 and cfg.param_scheduler is None


@pytest.mark.parametrize(
    'before, epochs, after',
    [(1, 3, 1), (3, 6, 3), (12, 3, 3), (12, 24, 24), (5, 3, 3), (5, 5, 5)],
)
def test_the_end_is_validated(set_epochs, before, epochs, after):
    cfg = _config(train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=12, val_interval=before))
    set_epochs(cfg, epochs)
    assert cfg.train_cfg.val_interval == after


@pytest.mark.parametrize('train_cfg', [dict(type='IterBasedTrainLoop'), dict(by_epoch=False)])
def test_configs_of_iterations_are_refused(set_epochs, train_cfg):
    cfg = _config(train_cfg=train_cfg | dict(max_iters=100))
    with pytest.raises(SystemExit, match='train.py: --epochs: .* trains by iterations; set train_cfg.max_iters'):
        set_epochs(cfg, 3)


@pytest.mark.parametrize(
    'value, message', [('0', 'must be at least 1, got 0'), ('-2', 'got -2'), ('two', "invalid int value: 'two'")]
)
def test_bad_values_are_refused(monkeypatch, capsys, value, message):
    monkeypatch.syspath_prepend(str(TOOL.parent))
    monkeypatch.setattr(sys, 'argv', ['train.py', str(CONFIG), f'--epochs={value}'])
    with pytest.raises(SystemExit) as error:
        runpy.run_path(str(TOOL))['parse_args']()
    assert error.value.code == 2 and message in capsys.readouterr().err


@pytest.mark.parametrize('epochs', [1, 7])
def test_the_rate_of_a_real_config_falls_until_its_last_epoch(set_epochs, miniscenes, monkeypatch, tmp_path, epochs):
    monkeypatch.setenv('MINISCENES_ROOT', str(miniscenes))
    cfg = model_config()
    cfg.update(work_dir=str(tmp_path), experiment_name=f'epochs{epochs}')
    cfg.train_dataloader.update(num_workers=0, persistent_workers=False)
    set_epochs(cfg, epochs)
    assert (cfg.train_cfg.max_epochs, cfg.train_cfg.val_interval) == (epochs, epochs)
    runner = Runner.from_cfg(cfg)
    length = len(runner.train_loop.dataloader)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    schedules = runner.build_param_scheduler(cfg.param_scheduler)
    cosine = next(schedule for schedule in schedules if isinstance(schedule, CosineAnnealingLR))
    assert length > 1 and (cosine.end, cosine.T_max) == (epochs * length, epochs * length)
    rates = []
    for _ in range(cosine.end):
        rates.append(runner.optim_wrapper.get_lr()['lr'][0])
        runner.optim_wrapper.optimizer.step()
        cosine.step()
    # A cosine that is 0 at the end of the last epoch, one iteration behind the last.
    falls = [(1 + math.cos(math.pi * i / cosine.end)) / 2 for i in range(cosine.end)]
    assert rates == pytest.approx([rates[0] * factor for factor in falls], abs=1e-12)
