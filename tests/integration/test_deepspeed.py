"""Training by DeepSpeed through mmengine's FlexibleRunner, in two processes."""

import copy

import numpy as np
import pytest
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.utils import is_installed

from tests.helpers.scenes import launch, logged_losses, make_coco_folder, small_config
from tests.helpers.tiny import LORA, ROOT, save_llama
from visionllm_mm.compat.safe_checkpoints import allow_mmengine_checkpoints, load_from_local_safely

CONFIG = ROOT / 'configs/visionllm/visionllm_internimage-h-bert-llama7b_stage1_coco_deepspeed.py'


@pytest.mark.slow
@pytest.mark.skipif(not is_installed('deepspeed'), reason='deepspeed is not among the pinned packages')
def test_deepspeed_equals_ddp_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setenv('DS_ACCELERATOR', 'cpu')
    save_llama(tmp_path / 'llama')
    ddp = small_config(monkeypatch, make_coco_folder(tmp_path / 'coco', num_train=12), tmp_path, epochs=2)
    ddp.model.llm = dict(type='CausalLM', path=str(tmp_path / 'llama'), lora=LORA, dtype='bfloat16')
    ddp.train_dataloader.batch_size = 2
    ddp.optim_wrapper.update(constructor='TrainedPartsOptimWrapperConstructor', clip_grad=dict(max_norm=0.1))
    ddp.log_processor.window_size = 1
    cfg = copy.deepcopy(ddp)
    ours = Config.fromfile(CONFIG)
    cfg.update(runner_type=ours.runner_type, strategy=ours.strategy)
    cfg.strategy.config.torch_autocast.enabled = False  # to compare with float32
    cfg.optim_wrapper = dict(
        ours.optim_wrapper, optimizer=ddp.optim_wrapper.optimizer, paramwise_cfg=ddp.optim_wrapper.paramwise_cfg
    )
    first = copy.deepcopy(cfg)
    first.train_cfg.max_epochs = 1

    launch(ddp, tmp_path / 'ddp', 2)
    launch(cfg, tmp_path / 'whole', 2)
    launch(first, tmp_path / 'parts', 2)
    launch(cfg, tmp_path / 'parts', 2, '--resume')
    expected = logged_losses(tmp_path / 'ddp')
    np.testing.assert_allclose(logged_losses(tmp_path / 'whole'), expected, rtol=2e-3)
    assert logged_losses(tmp_path / 'parts') == logged_losses(tmp_path / 'whole') and len(expected) == 6

    # Its weights load as those of DDP do, and the frozen LLM is in neither.
    allow_mmengine_checkpoints()
    mine, its = (
        load_from_local_safely(str(tmp_path / name))['state_dict']
        for name in ('whole/epoch_2.pth/mp_rank_00_model_states.pt', 'ddp/epoch_2.pth')
    )
    assert mine.keys() == its.keys()
    base = [name for name in mine if 'llm.base.' in name]
    assert len(base) == 16 and all('lora_' in name for name in base)
    init_default_scope('mmdet')
    MODELS.build(cfg.model).load_state_dict(mine)
    autocast = copy.deepcopy(first)
    autocast.strategy.config.torch_autocast.enabled = True
    launch(autocast, tmp_path / 'autocast', 2)
    assert 0 < abs(logged_losses(tmp_path / 'autocast')[0] / expected[0] - 1) < 0.03
