"""All tasks with one set of weights, from training to the table."""

import numpy as np
import pytest
from mmdet.apis import init_detector
from mmengine.runner import Runner

from tests.helpers.scenes import small_multitask_config, train
from visionllm_mm.miniscenes import DatasetArguments, write_dataset


@pytest.fixture(scope='module')
def scenes(tmp_path_factory):
    root = tmp_path_factory.mktemp('scenes') / 'data'
    write_dataset(root, DatasetArguments(num_train=6, num_val=4, size=64))
    return root


@pytest.fixture
def cfg(scenes, tmp_path, monkeypatch):
    monkeypatch.setenv('MINISCENES_ROOT', str(scenes))
    return small_multitask_config(tmp_path)


@pytest.mark.slow
def test_every_task_trains_and_is_tested(cfg):
    runner, losses = train(cfg)
    assert len(losses) == 12 and np.isfinite(losses).all()
    assert all(not p.requires_grad for p in runner.model.backbone.parameters())  # stage 2
    detector = init_detector(cfg.copy(), f'{cfg.work_dir}/epoch_1.pth', device='cpu', cfg_options={})
    assert tuple(detector.dataset_meta['classes']) == tuple(cfg.classes)
    cfg.load_from = f'{cfg.work_dir}/epoch_1.pth'
    cfg.experiment_name += 'test'
    metrics = Runner.from_cfg(cfg).test()
    for name in (
        'detection/coco/bbox_mAP',
        'segmentation-8/coco/segm_mAP',
        'segmentation-24/coco/segm_mAP',
        'grounding/grounding/P@0.5',
        'keypoints/keypoints/AP',
        'caption/caption/CIDEr (simple tokenizer)',
        'caption/caption/all_objects_named',
        'vqa/vqa/accuracy',
        'pairs/coco/bbox_mAP',
    ):
        assert name in metrics, name


def test_no_training_set_names_an_unseen_pair(cfg):
    named = [set(part.get('metainfo', {}).get('classes', ())) for part in cfg.train_dataloader.dataset.datasets]
    assert not set.union(*named) & set(cfg.unseen_pairs) and {len(names) for names in named} == {0, 8, 56}


def test_batches_are_of_one_task(cfg):
    loader = Runner.build_dataloader(cfg.train_dataloader)
    kinds = set()
    for batch in loader:
        requests = {
            ('answer' in sample, getattr(sample.gt_instances, 'points', np.zeros((0, 0))).shape[1:])
            for sample in batch['data_samples']
        }
        assert len({is_text for is_text, _ in requests}) == 1
        kinds |= {is_text for is_text, _ in requests}
    assert kinds == {True, False}
