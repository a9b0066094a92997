"""Two gloo processes train as one process with the same effective batch."""

import numpy as np
import pytest
import torch

from tests.helpers.scenes import (
    launch,
    logged_losses,
    make_coco_folder,
    small_config,
    small_multitask_config,
    warmups,
)
from visionllm_mm.miniscenes import DatasetArguments, write_dataset


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path, monkeypatch):
    cfg = small_config(monkeypatch, make_coco_folder(tmp_path / 'coco', num_train=12), tmp_path / 'one')
    cfg.log_processor.window_size = 1
    cfg.train_cfg.val_interval = 10
    # One size of image: what a batch is padded to reaches the features through the backbone's borders.
    next(t for t in cfg.train_dataloader.dataset.pipeline if t['type'] == 'RandomResize').ratio_range = (1.0, 1.0)
    # AdamW makes a full step of a gradient that is zero but for rounding; SGD does not.
    cfg.optim_wrapper.optimizer = dict(type='SGD', lr=0.01)
    for name, batch_size, processes in (('one', 4, 1), ('two', 2, 2)):
        cfg.train_dataloader.batch_size = batch_size
        launch(cfg, tmp_path / name, processes)
    one, two = logged_losses(tmp_path / 'one'), logged_losses(tmp_path / 'two')
    assert len(one) == len(two) == 3 and np.isfinite(one).all()
    # The log has the first process's own losses, so the weights after training are compared.
    start = torch.load(next((tmp_path / 'one/warmup').glob('*.pth')), weights_only=True)
    weights = [torch.load(tmp_path / name / 'epoch_1.pth', weights_only=True)['state_dict'] for name in ('one', 'two')]
    worst = max(float((weights[0][key].float() - weights[1][key].float()).abs().max()) for key in weights[0])
    moved = max(float((weights[0][f'task_decoder.{key}'] - start[key]).abs().max()) for key in start)
    assert worst < 1e-6 and moved > 1e-4, (worst, moved)


@pytest.mark.slow
def test_two_processes_learn_all_tasks_as_one(tmp_path, monkeypatch):
    """The first process alone is warmed up, on whole batches; then both learn one task per batch, the same."""
    write_dataset(tmp_path / 'data', DatasetArguments(num_train=8, num_val=4, size=64))
    monkeypatch.setenv('MINISCENES_ROOT', str(tmp_path / 'data'))
    cfg = small_multitask_config(tmp_path)
    cfg.train_cfg.update(max_epochs=1, val_interval=10)
    # AdamW makes a full step of a gradient that is zero but for rounding; SGD does not. And this loss is each
    # process's own mean, over phrases of which one may have more.
    cfg.optim_wrapper.optimizer = dict(type='SGD', lr=0.01)
    cfg.model.auxiliary.phrases = None
    warm_ups = {}
    for name, batch_size, processes in (('one', 4, 1), ('two', 2, 2)):
        cfg.train_dataloader.batch_size = cfg.train_dataloader.sampler.batch_size = batch_size
        for hook in warmups(cfg):
            hook.cache_dir = str(tmp_path / name / 'warmup')
        launch(cfg, tmp_path / name, processes)
        files = sorted((tmp_path / name / 'warmup').iterdir(), key=lambda path: path.stat().st_mtime_ns)
        assert len(files) == len(warmups(cfg))
        warm_ups[name] = torch.load(files[-1], weights_only=True)
    worst = max(float((value - warm_ups['two'][key]).abs().max()) for key, value in warm_ups['one'].items())
    assert worst < 1e-3, worst
    weights = [torch.load(tmp_path / name / 'epoch_1.pth', weights_only=True)['state_dict'] for name in ('one', 'two')]
    worst = max(float((weights[0][key].float() - weights[1][key].float()).abs().max()) for key in weights[0])
    moved = max(
        float((weights[0][f'task_decoder.{key}'] - value).abs().max()) for key, value in warm_ups['one'].items()
    )
    assert worst < 1e-6 and moved > 1e-4, (worst, moved)
