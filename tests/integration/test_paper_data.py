"""The data configs of the paper's own training, with a tiny model on ten-image copies of the real layouts."""

import runpy
import sys

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner

from tests.helpers.real_layouts import make_real_layouts
from tests.helpers.scenes import narrow, train
from tests.helpers.tiny import ROOT, save_bert, save_llama

BASE = ROOT / 'configs/_base_'
SIDE = 64
"""Length of the images' shorter sides in these tests, px."""


@pytest.fixture(scope='module')
def coco(tmp_path_factory):
    root = make_real_layouts(tmp_path_factory.mktemp('data') / 'coco')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'argv', ['remove_refcoco_images.py', '--data-root', str(root)])
        runpy.run_path(str(ROOT / 'tools/remove_refcoco_images.py'), run_name='__main__')
    return root


def shrink(part) -> None:
    """Small images, few crops and no workers, wherever they are set in a part of a config."""
    if isinstance(part, dict):
        if part.get('type') in ('Resize', 'RandomResize'):
            part['scale'] = (2 * SIDE, SIDE)
        elif part.get('type') == 'RandomChoiceResize':
            part['scales'] = [(side, 2 * SIDE) for side in (SIDE - 16, SIDE)]
        elif part.get('type') == 'RandomCrop':
            part['crop_size'] = (SIDE // 2, SIDE)
        elif 'num_workers' in part:
            part.update(num_workers=0, persistent_workers=False, batch_size=5)
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, (list, tuple)) else ():
        shrink(inner)


@pytest.fixture
def paper_config(coco, tmp_path, monkeypatch):
    """A data config with a tiny model, for one short epoch."""

    def make(name: str) -> Config:
        monkeypatch.setenv('COCO_ROOT', str(coco))
        # Writing these long configs out takes longer than all else here.
        monkeypatch.setattr(Config, 'pretty_text', '')
        cfg = Config.fromfile(BASE / f'datasets/{name}.py')
        test_cfg = cfg.get('test_cfg', dict(type='TestLoop'))
        for base in ('schedules/schedule_2e', 'default_runtime'):
            cfg.merge_from_dict(dict(Config.fromfile(BASE / f'{base}.py').items()))
        model = Config.fromfile(BASE / 'models/visionllm_tiny.py').model
        narrow(model)
        model.vocabulary = cfg.vocabulary
        # The built-in tokenizer cuts words into more pieces than BERT's does.
        model.text_encoder.config.max_position_embeddings = 2048
        model.llm.config.max_position_embeddings = 4096
        model.test_cfg.text = dict(max_length=5)
        cfg.update(model=model, test_cfg=test_cfg, param_scheduler=[], work_dir=str(tmp_path), visualizer=None)
        cfg.train_cfg.update(max_epochs=1, val_interval=1)
        cfg.default_hooks.checkpoint = dict(type='CheckpointHook', interval=1)
        for part in ('train_dataloader', 'val_dataloader', 'test_dataloader', 'test_cfg'):
            shrink(cfg[part])
        return cfg

    return make


def evaluate(cfg: Config) -> dict:
    cfg.load_from = f'{cfg.work_dir}/epoch_1.pth'
    cfg.experiment_name = 'test' + cfg.work_dir.replace('/', '_')
    return Runner.from_cfg(cfg).test()


@pytest.mark.slow
@pytest.mark.parametrize(
    'name',
    [
        'r50-bert-llama7b_stage1_coco',
        'r50-bert-llama7b_stage2_multitask',
        'r50-bert-llama7b_stage1_lvis',
        'internimage-h-bert-llama7b_stage1_coco',
        'internimage-h-bert-llama7b_stage2_multitask',
        'r50-bert-llama32-1b_stage1_coco',
        'r50-bert-llama7b-4bit_stage1_coco',
    ],
)
def test_the_papers_own_configs(coco, tmp_path, monkeypatch, name):
    """As they are but for the sizes of LLM, BERT, InternImage and images, on a CPU; test_llm.py has the 4 bits."""
    monkeypatch.setattr(Config, 'pretty_text', '')
    for variable, save, positions in (('LLM', save_llama, 4096), ('BERT', save_bert, 2048)):
        save(tmp_path / variable, max_position_embeddings=positions)
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.setenv('COCO_ROOT', str(coco))
    cfg = Config.fromfile(ROOT / f'configs/visionllm/visionllm_{name}.py')
    cfg.update(load_from=None, work_dir=str(tmp_path / 'run'), visualizer=None, param_scheduler=[])
    cfg.model.backbone.init_cfg = cfg.model.llm.quantization = None
    if cfg.model.backbone.type == 'InternImage':
        cfg.model.backbone.arch, cfg.model.neck.in_channels = 'T', [128, 256, 512]
    cfg.model.image_tokenizer.num_tokens = 10
    cfg.merge_from_dict({'model.test_cfg.text.max_length': 5})
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    cfg.optim_wrapper = dict(
        type='OptimWrapper', **{key: cfg.optim_wrapper[key] for key in ('constructor', 'optimizer', 'clip_grad')}
    )
    for part in ('train_dataloader', 'val_dataloader', 'test_dataloader', 'test_cfg'):
        shrink(cfg[part])
    cfg.train_dataloader.batch_size = 2
    if 'multitask' in name:
        cfg.train_dataloader.sampler.batch_size = 2
        cfg.train_dataloader.sampler.num_batches = 2
        cfg.test_cfg.tasks.caption.evaluator.tokenizer = 'simple'
    runner, losses = train(cfg)
    assert len(losses) >= 2 and np.isfinite(losses).all()
    metrics = evaluate(cfg)
    expected = cfg.test_cfg.get('references', ['lvis/bbox_AP' if 'lvis' in name else 'coco/bbox_mAP'])
    for metric in expected:
        assert any(found.startswith(metric) for found in metrics), metric


@pytest.mark.slow
def test_stage_1(paper_config):
    cfg = paper_config('coco_detection')
    cfg.train_dataloader.batch_size = 3  # of the five images that RefCOCO does not test on
    runner, losses = train(cfg)
    assert len(losses) == 2 and np.isfinite(losses).all()
    assert runner.message_hub.get_scalar('val/coco/bbox_mAP').current() >= 0
    assert 0 <= evaluate(cfg)['coco/bbox_mAP'] <= 1


@pytest.mark.slow
def test_stage_2(paper_config):
    cfg = paper_config('coco_multitask')
    cfg.train_dataloader.batch_size = cfg.train_dataloader.sampler.batch_size = 2
    cfg.train_dataloader.sampler.num_batches = 2
    cfg.test_cfg.tasks.caption.evaluator.tokenizer = 'simple'
    runner, losses = train(cfg)
    assert len(losses) == 2 and np.isfinite(losses).all()
    # Two batches are of two tasks at most; here is one of each.
    runner.model.train()
    for part in runner.train_dataloader.dataset.datasets:
        batch = runner.model.data_preprocessor(pseudo_collate([part[0], part[1]]), training=True)
        losses = runner.model(**batch, mode='loss')
        assert all(torch.as_tensor(loss).isfinite().all() for loss in losses.values()), part
    metrics = evaluate(cfg)
    for name in cfg.test_cfg.references:
        assert any(found.startswith(name) for found in metrics), name
    assert metrics['segmentation/coco/segm_mAP'] >= 0


@pytest.mark.slow
def test_lvis(paper_config):
    cfg = paper_config('lvis_v1_detection')
    cfg.train_cfg.val_interval = 2  # the test is the same
    runner, losses = train(cfg)
    assert len(losses) == 2 and np.isfinite(losses).all()
    sample = runner.train_dataloader.dataset[0]['data_samples']
    assert len(sample.class_labels) == 70 and (sample.gt_instances.labels >= 0).all(), 'what is shown is asked for'
    groups = runner.test_dataloader.dataset[0]['data_samples'].class_groups
    assert len(groups) == 16 and [len(labels) for _, labels in groups] == [80] * 15 + [3]
    assert 'lvis/bbox_AP' in evaluate(cfg)
