"""The model can learn: one batch, until its boxes are right."""

import numpy as np
import pytest
import torch
from mmdet.evaluation import CocoMetric
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner

from tests.helpers.scenes import make_coco_folder, small_config
from visionllm_mm.small_llm.warmups import warm_up_on_text


@pytest.mark.slow
def test_overfits_one_batch(tmp_path, monkeypatch):
    data = make_coco_folder(tmp_path / 'coco', num_train=4, num_val=1)
    cfg = small_config(monkeypatch, data, tmp_path / 'work')
    cfg.test_dataloader.dataset.update(ann_file='train.json', data_prefix=dict(img='train/'))
    runner = Runner.from_cfg(cfg)
    model = runner.model.train()
    warm_up_on_text(model.task_decoder, num_tokens=10, num_iters=150, batch_size=8, lr=1e-3, noise=0.5, seed=0)
    dataset = Runner.build_dataloader(cfg.train_dataloader).dataset
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=800, pct_start=0.1)
    # The images as evaluation shows them; only template and order of the classes change.
    dataset.pipeline.transforms = [
        t for t in dataset.pipeline.transforms if type(t).__name__ not in ('SeedBySample', 'RandomFlip', 'RandomCrop')
    ]
    for transform in dataset.pipeline.transforms:
        if type(transform).__name__ == 'RandomResize':
            transform.ratio_range = (1.0, 1.0)
    np.random.seed(0)
    for _ in range(800):
        batch = model.data_preprocessor(pseudo_collate([dataset[i] for i in range(4)]), training=True)
        loss = sum(model.loss(batch['inputs'], batch['data_samples']).values())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    model.eval()
    metric = CocoMetric(ann_file=str(data / 'train.json'))
    loader = Runner.build_dataloader(cfg.test_dataloader)
    metric.dataset_meta = loader.dataset.metainfo
    with torch.no_grad():
        for batch in loader:
            metric.process(batch, [sample.to_dict() for sample in model.test_step(batch)])
    assert metric.evaluate(size=4)['coco/bbox_mAP'] > 0.9
