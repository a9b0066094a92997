"""Training with a frozen pretrained LLM and LoRA: checkpoints, averaged weights, resume; in two processes, too."""

import copy

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.hooks import EMAHook, Hook
from mmengine.runner import Runner

from tests.helpers.scenes import launch, logged_losses, make_coco_folder, small_config, train
from tests.helpers.tiny import LORA, save_llama


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    """Data, and a pretrained LLM."""
    root = tmp_path_factory.mktemp('frozen')
    save_llama(root / 'llama')
    return make_coco_folder(root / 'coco', num_train=12), root / 'llama'


def _config(monkeypatch, folders, work_dir, epochs):
    data, llama = folders
    cfg = small_config(monkeypatch, data, work_dir, epochs)
    cfg.model.llm = dict(type='CausalLM', path=str(llama), lora=LORA, dtype='bfloat16', gradient_checkpointing=True)
    cfg.optim_wrapper.update(constructor='TrainedPartsOptimWrapperConstructor')
    del cfg.default_hooks['warmup']
    cfg.default_hooks.ema = dict(type='EMAHook', ema_type='TrainedPartsEMA', momentum=0.1)
    cfg.default_hooks.optimizer_file = dict(type='OptimizerFileHook')
    cfg.log_processor.window_size = 1
    # One size of image: what a batch is padded to reaches the features through the backbone's borders.
    next(t for t in cfg.train_dataloader.dataset.pipeline if t['type'] == 'RandomResize').ratio_range = (1.0, 1.0)
    return cfg


def _load(path):
    checkpoint = torch.load(path, weights_only=True)
    assert 'optimizer' not in checkpoint
    for state in (checkpoint['state_dict'], checkpoint['ema_state_dict']):
        base = [name for name in state if 'llm.base.' in name]
        assert len(base) == 16 and all('lora_' in name for name in base)
    return checkpoint


class _KeepValidated(Hook):
    """Keeps the weights that validation uses, and checks that the average has no frozen weights of its own."""

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.state = {name: value.clone() for name, value in runner.model.state_dict().items()}
        average = next(hook for hook in runner.hooks if isinstance(hook, EMAHook)).ema_model.module
        for mine, its in zip(runner.model.parameters(), average.parameters(), strict=True):
            assert (mine.data_ptr() == its.data_ptr()) == (not mine.requires_grad)


def test_resumed_run_goes_on_as_the_whole_one(folders, tmp_path, monkeypatch):
    whole, parts = (_config(monkeypatch, folders, tmp_path / name, epochs=2) for name in ('whole', 'parts'))
    for cfg in (whole, parts):
        cfg.train_dataloader.dataset.indices = 8
        cfg.model.llm.lora.lora_dropout = cfg.model.image_tokenizer.decoder.layer_cfg.self_attn_cfg.attn_drop = 0.1
    keep = _KeepValidated()
    _, expected = train(whole, hooks=[keep])
    first = copy.deepcopy(parts)
    first.train_cfg.max_epochs = 1
    _, before = train(first)
    parts.resume = True
    _, after = train(parts)
    assert len(before) == len(after) == 2
    np.testing.assert_allclose(before + after, expected, rtol=1e-6)

    one, two = (_load(tmp_path / name / 'epoch_2.pth') for name in ('whole', 'parts'))
    for part in ('state_dict', 'ema_state_dict'):
        for name, value in one[part].items():
            torch.testing.assert_close(two[part][name], value, rtol=1e-5, atol=1e-6, msg=name)
    optimizer = torch.load(tmp_path / 'whole/epoch_2.optimizer.pth', weights_only=True)['optimizer']
    assert len(optimizer['state']) == sum(len(group['params']) for group in optimizer['param_groups'])
    # Validation used the average, which is not what trains on.
    assert all(torch.equal(value, keep.state[name]) for name, value in one['state_dict'].items())
    name = 'neck.convs.0.conv.weight'
    assert not torch.equal(one['state_dict'][name], one['ema_state_dict'][f'module.{name}'])


def test_another_llm_stops_the_run(folders, tmp_path, monkeypatch):
    cfg = _config(monkeypatch, folders, tmp_path / 'work', epochs=1)
    del cfg.default_hooks['ema']  # the average is made when training starts
    cfg.load_from = str(tmp_path / 'checkpoint.pth')
    torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict()), cfg.load_from)
    Runner.from_cfg(cfg).load_or_resume()
    save_llama(tmp_path / 'other', seed=1)
    cfg.model.llm.path = str(tmp_path / 'other')
    cfg.experiment_name = 'other'
    with pytest.raises(ValueError, match=f"{folders[1]}'.*{tmp_path / 'other'}'"):
        Runner.from_cfg(cfg).load_or_resume()


@pytest.mark.slow
def test_two_processes_equal_one_and_go_on(folders, tmp_path, monkeypatch):
    cfg = _config(monkeypatch, folders, tmp_path, epochs=2)
    cfg.optim_wrapper.optimizer = dict(type='SGD', lr=0.01)  # AdamW makes full steps of gradients that are rounding
    cfg.optim_wrapper.paramwise_cfg.custom_keys.lora_ = dict(lr_mult=100.0)
    cfg.model.llm.dtype = 'float32'
    for name, batch_size, processes in (('one', 4, 1), ('two', 2, 2)):
        cfg.train_dataloader.batch_size = batch_size
        launch(cfg, tmp_path / name, processes)
    stopped = copy.deepcopy(cfg)
    stopped.train_cfg.max_epochs = 1
    launch(stopped, tmp_path / 'parts', 2)
    launch(cfg, tmp_path / 'parts', 2, '--resume')

    first = _load(tmp_path / 'two/epoch_1.pth')
    one, two, parts = (_load(tmp_path / name / 'epoch_2.pth') for name in ('one', 'two', 'parts'))
    for part in ('state_dict', 'ema_state_dict'):
        moved = 0.0
        for name, value in one[part].items():
            assert float((two[part][name].float() - value.float()).abs().max()) < 2e-6, name
            assert torch.equal(parts[part][name], two[part][name]), name
            if 'lora_' in name:
                moved = max(moved, float((value - first[part][name]).abs().max()))
        assert moved > 1e-5
    assert logged_losses(tmp_path / 'parts') == logged_losses(tmp_path / 'two')
