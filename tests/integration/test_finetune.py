"""Fine-tuning the released weights on a small COCO-format folder, boxes and polygons."""

import numpy as np
import pytest
from mmengine.config import Config

from tests.helpers.scenes import add_polygons, make_coco_folder, train
from tests.helpers.tiny import ROOT


@pytest.mark.parametrize(
    'name, metric',
    [
        pytest.param('finetune-coco', 'coco/bbox_mAP', marks=pytest.mark.slow),
        ('finetune-coco-insseg', 'coco/segm_mAP'),
    ],
)
def test_released_weights_are_fine_tuned(name, metric, tmp_path, monkeypatch):
    data = make_coco_folder(tmp_path / 'coco', 8, 2)
    for split in ('train', 'val'):
        add_polygons(data / f'{split}.json')
    monkeypatch.setenv('DATA_ROOT', str(data))
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(Config, 'pretty_text', '')
    cfg = Config.fromfile(ROOT / f'configs/visionllm/visionllm-tiny_{name}.py')
    cfg.update(work_dir=str(tmp_path / 'run'), visualizer=None, param_scheduler=[])
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
        for step in loader.dataset.pipeline:
            step.update({key: (64, 64) for key in ('scale', 'crop_size') if key in step})
    cfg.train_cfg.update(max_epochs=2, val_interval=2)
    cfg.default_hooks.warmup.cache_dir = str(tmp_path / 'warmup')
    runner, losses = train(cfg)
    assert len(losses) == 8 and np.isfinite(losses).all() and np.mean(losses[-3:]) < losses[0]
    assert runner.message_hub.get_scalar(f'val/{metric}').current() >= 0
    assert not (tmp_path / 'warmup').exists(), 'the LLM of whole weights needs no warm-up'
