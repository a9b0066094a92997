"""Versions, and loading of checkpoints as data only."""

import pickle

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader, load_from_local

from visionllm_mm.compat.environment import (
    REQUIREMENTS,
    check_versions,
    installed,
    release,
    version_problem,
)
from visionllm_mm.compat.safe_checkpoints import load_from_local_safely, use_safe_checkpoint_loading

MMCV = next(requirement for requirement in REQUIREMENTS if requirement.module == 'mmcv')


class Payload:
    """Stands for a class that a foreign checkpoint brings along."""


def test_release_reads_local_and_short_versions():
    assert release('2.13.0+cpu') == (2, 13)
    assert release('2.6') == release('2.6.0')
    assert release('0.10.12') > release('0.10.7')
    assert release('unknown') == ()


@pytest.mark.parametrize(
    ('found', 'fits'),
    [
        ({'onedl-mmcv': '2.3.6'}, True),
        ({'mmcv': '2.1.0'}, True),
        ({'mmcv': '2.0.1'}, False),
        ({'onedl-mmcv': '2.5.0'}, False),
        ({}, False),
        ({'onedl-mmcv': '2.3.6', 'mmcv': '2.1.0'}, False),
    ],
)
def test_version_problem(found, fits):
    problem = version_problem(MMCV, found)
    assert (problem is None) == fits
    if not fits:
        assert 'mmcv' in problem and '>=2.1.0,<2.5' in problem
        assert all(version in problem for version in found.values())


def test_this_environment_is_supported():
    check_versions()
    assert all(len(installed(requirement)) == 1 for requirement in REQUIREMENTS)


def test_one_error_names_all_problems_and_the_commands():
    found = {'torch': {'torch': '2.13.0'}, 'mmdet': {'mmdet': '3.0.0'}}
    with pytest.raises(ImportError) as raised:
        check_versions(find=lambda requirement: found.get(requirement.module, {}))
    message = str(raised.value)
    assert 'mmcv: found nothing; wanted >=2.1.0,<2.5' in message
    assert 'mmdet: found mmdet 3.0.0; wanted >=3.3.0,<3.7' in message
    assert 'torch:' not in message
    assert 'pip uninstall -y mmdet\n' in message
    assert message.endswith('onedl-mmcv==2.3.6 onedl-mmdetection==3.5.1')


@pytest.fixture
def checkpoint(tmp_path):
    """A file with what mmengine's Runner saves beside the weights."""
    path = tmp_path / 'epoch_1.pth'
    log = HistoryBuffer([0.5, 0.25], [1, 1])
    info = {'epoch': 1, 'loss': np.float32(0.5), 'best': np.float64(1), 'ok': np.bool_(True)}
    content = {
        'state_dict': {'weight': torch.ones(2)},
        'message_hub': {'log_scalars': {'loss': log}, 'runtime_info': info},
        'meta': {'dataset_meta': {'palette': np.array([[1, 2, 3]], dtype=np.uint8)}},
    }
    torch.save(content, path)
    return path


def test_mmengine_checkpoint_loads_as_data_only(checkpoint):
    loaded = torch.load(checkpoint, weights_only=True)
    log = loaded['message_hub']['log_scalars']['loss']
    assert log.statistics('mean') == 0.375 and log.max() == 0.5
    assert loaded['message_hub']['runtime_info']['loss'] == np.float32(0.5)
    assert loaded['meta']['dataset_meta']['palette'].tolist() == [[1, 2, 3]]


def test_weights_that_deepspeed_saved_load_as_others_do(checkpoint, tmp_path):
    content = torch.load(checkpoint)
    weights = content.pop('state_dict')
    path = tmp_path / 'mp_rank_00_model_states.pt'
    torch.save(dict(content, module=weights, ds_version='0.17.6', ds_config=ConfigDict(stage=2)), path)
    loaded = load_from_local_safely(str(path))
    assert loaded['state_dict'].keys() == weights.keys() and loaded['ds_config'].stage == 2


def test_allowance_outlives_a_load_by_mmengine(checkpoint):
    load_from_local(str(checkpoint), 'cpu')
    assert load_from_local_safely(str(checkpoint), 'cpu')['state_dict']['weight'].sum() == 2


class ReachesForCode:
    """Unpickles to what the real getattr would hand out: a function with mmengine's globals."""

    def __reduce__(self):
        return getattr, (HistoryBuffer, '__init__')


@pytest.mark.parametrize('content', [Payload(), ReachesForCode(), np.array([Payload()])])
def test_other_objects_are_refused(tmp_path, content):
    path = tmp_path / 'foreign.pth'
    torch.save({'extra': content}, path)
    with pytest.raises(RuntimeError, match=r'foreign\.pth.*TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1'):
        load_from_local_safely(str(path))
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)


def test_a_trusted_file_can_be_forced(tmp_path, monkeypatch):
    path = tmp_path / 'foreign.pth'
    torch.save({'extra': np.array([None])}, path)
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    with pytest.warns(UserWarning, match='weights_only'):
        assert load_from_local_safely(str(path))['extra'].shape == (1,)


def test_missing_checkpoint_is_named():
    with pytest.raises(FileNotFoundError, match=r'nowhere\.pth'):
        load_from_local_safely('nowhere.pth')


def test_mmengine_uses_the_safe_loader_on_request(checkpoint, monkeypatch):
    monkeypatch.setattr(CheckpointLoader, '_schemes', dict(CheckpointLoader._schemes))
    use_safe_checkpoint_loading()
    assert CheckpointLoader._get_checkpoint_loader(str(checkpoint)) is load_from_local_safely
    assert 'state_dict' in CheckpointLoader.load_checkpoint(str(checkpoint), 'cpu')
