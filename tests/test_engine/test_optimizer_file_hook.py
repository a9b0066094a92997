"""The optimizer's state lies beside the checkpoint, and a run that resumes finds it."""

import copy

import pytest
import torch

from tests.helpers.scenes import make_coco_folder, small_config, train


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return make_coco_folder(tmp_path_factory.mktemp('optimizer_file') / 'coco', 2, 2)


@pytest.fixture
def cfg(data, tmp_path, monkeypatch):
    """Of a run of one epoch of one iteration, which keeps the last two checkpoints."""
    cfg = small_config(monkeypatch, data, tmp_path / 'work')
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', interval=1, max_keep_ckpts=2)
    cfg.default_hooks.optimizer_file = dict(type='OptimizerFileHook')
    cfg.train_cfg.val_interval = 100
    cfg.default_hooks.pop('warmup')
    return cfg


def _train(cfg, epochs, **settings):
    cfg = copy.deepcopy(cfg)
    cfg.train_cfg.max_epochs = epochs
    cfg.update(settings)
    return train(cfg)[0]


def test_states_are_kept_as_long_as_their_checkpoints(cfg, tmp_path):
    _train(cfg, epochs=3)
    assert sorted(path.name for path in (tmp_path / 'work').glob('*.pth')) == [
        'epoch_2.optimizer.pth',
        'epoch_2.pth',
        'epoch_3.optimizer.pth',
        'epoch_3.pth',
    ]
    checkpoint = torch.load(tmp_path / 'work/epoch_3.pth', weights_only=True)
    assert 'optimizer' not in checkpoint and len(checkpoint['state_dict']) > 100
    # A step of AdamW later than the state of epoch 2.
    steps = [
        {
            int(state['step'])
            for state in torch.load(tmp_path / f'work/epoch_{epoch}.optimizer.pth', weights_only=True)['optimizer'][
                'state'
            ].values()
        }
        for epoch in (2, 3)
    ]
    assert steps == [{2}, {3}]


@pytest.mark.parametrize('named', [False, True])
def test_a_run_that_resumes_has_the_state(cfg, tmp_path, named):
    _train(cfg, epochs=1)
    (tmp_path / 'work').rename(tmp_path / 'moved')
    cfg.work_dir = str(tmp_path / 'moved')
    checkpoint = tmp_path / 'moved/epoch_1.pth'
    if not named:
        (tmp_path / 'moved/last_checkpoint').write_text(str(checkpoint))
    runner = _train(cfg, epochs=2, resume=True, load_from=str(checkpoint) if named else None)
    assert {int(state['step']) for state in runner.optim_wrapper.optimizer.state.values()} == {2}


def test_weights_alone_start_another_run(cfg, tmp_path):
    _train(cfg, epochs=1)
    (tmp_path / 'work/epoch_1.optimizer.pth').unlink()
    runner = _train(cfg, epochs=1, load_from=str(tmp_path / 'work/epoch_1.pth'), work_dir=str(tmp_path / 'other'))
    assert {int(state['step']) for state in runner.optim_wrapper.optimizer.state.values()} == {1}


def test_a_state_that_is_missing_damaged_or_another_ones_stops_the_resume(cfg, tmp_path):
    _train(cfg, epochs=2)
    state, other = (tmp_path / f'work/epoch_{epoch}.optimizer.pth' for epoch in (2, 1))
    other.replace(state)
    with pytest.raises(RuntimeError, match='epoch_2.optimizer.pth is not .*epoch_2.pth: .*ation 1, .*ation 2'):
        _train(cfg, epochs=3, resume=True)
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(RuntimeError, match='epoch_2.optimizer.pth, .*epoch_2.pth, is damaged'):
        _train(cfg, epochs=3, resume=True)
    state.unlink()
    with pytest.raises(FileNotFoundError, match='epoch_2.optimizer.pth is missing, .*load_from instead of resume'):
        _train(cfg, epochs=3, resume=True)
