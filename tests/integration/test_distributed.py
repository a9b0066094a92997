"""Two gloo processes train as one process with the same effective batch."""

import json
import subprocess
import sys

import numpy as np
import pytest

from tests.integration.scenes import make_coco_folder, small_config
from tests.tiny import ROOT


def _losses(folder) -> list[float]:
    log = next(folder.glob('*/vis_data/scalars.json'))
    return [json.loads(line)['loss'] for line in log.read_text().splitlines() if '"loss"' in line]


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path, monkeypatch):
    cfg = small_config(monkeypatch, make_coco_folder(tmp_path / 'coco', num_train=16), tmp_path / 'one')
    cfg.log_processor.window_size = 1
    cfg.train_cfg.val_interval = 10
    for name, batch_size, launch in (('one', 4, []), ('two', 2, [
            '-m', 'torch.distributed.run', '--nproc-per-node', '2', '--master-port', '29611'])):
        cfg.train_dataloader.batch_size = batch_size
        path = tmp_path / f'{name}.py'
        cfg.dump(path)
        command = [sys.executable, *launch, str(ROOT / 'tools/train.py'), str(path), '--work-dir', str(tmp_path / name)]
        command += ['--launcher', 'pytorch'] if launch else []
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)
        assert done.returncode == 0, done.stderr[-2000:]
    one, two = _losses(tmp_path / 'one'), _losses(tmp_path / 'two')
    assert len(one) == len(two) == 4
    # The log has the first process's own loss, normalized by the mean number of objects: the first is half the story,
    # so the weights are compared after training.
    import torch

    weights = [torch.load(tmp_path / name / 'epoch_1.pth', weights_only=False)['state_dict'] for name in ('one', 'two')]
    worst = max(float((weights[0][key].float() - weights[1][key].float()).abs().max()) for key in weights[0])
    assert np.isfinite(one).all() and worst < 5e-4, worst
