"""Training, evaluation, inference and resume, end to end on a tiny COCO-format folder."""

import copy
import json

import numpy as np
import pytest
import torch
from mmdet.apis import DetInferencer, inference_detector, init_detector
from mmengine.runner import Runner

from tests.helpers.scenes import NAMES, make_coco_folder, small_config, train

PROMPT = ' . '.join(NAMES)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return make_coco_folder(tmp_path_factory.mktemp('coco'))


@pytest.fixture(scope='module')
def trained(data, tmp_path_factory):
    """Config and checkpoint of one epoch."""
    with pytest.MonkeyPatch.context() as patch:
        cfg = small_config(patch, data, tmp_path_factory.mktemp('work'))
        runner, losses = train(cfg)
    assert len(losses) == 2 and np.isfinite(losses).all()
    assert runner.message_hub.get_scalar('val/coco/bbox_mAP').current() >= -1
    return cfg, f'{cfg.work_dir}/epoch_1.pth'


def test_all_ways_in_give_the_same_boxes(trained, data):
    cfg, checkpoint = trained
    image = str(data / 'val/1.png')
    model = init_detector(copy.deepcopy(cfg), checkpoint, device='cpu', cfg_options={})
    plain = inference_detector(model, image).pred_instances
    prompted = inference_detector(model, image, text_prompt=PROMPT, custom_entities=True).pred_instances
    inferencer = DetInferencer(model=copy.deepcopy(cfg), weights=checkpoint, device='cpu', show_progress=False)
    listed = inferencer(image, texts=PROMPT, custom_entities=True, no_save_vis=True)['predictions'][0]

    test_cfg = copy.deepcopy(cfg)
    test_cfg.load_from = checkpoint
    runner = Runner.from_cfg(test_cfg)
    runner.load_or_resume()
    runner.model.eval()
    batch = next(iter(runner.test_dataloader))
    with torch.no_grad():
        looped = runner.model.test_step(batch)[0].pred_instances

    assert len(plain) > 0
    for other in (prompted, looped):
        np.testing.assert_allclose(other.bboxes.numpy(), plain.bboxes.numpy(), atol=1e-3)
        np.testing.assert_allclose(other.scores.numpy(), plain.scores.numpy(), atol=1e-5)
        assert other.label_names == plain.label_names
    np.testing.assert_allclose(np.array(listed['bboxes']), plain.bboxes.numpy(), atol=1e-3)
    np.testing.assert_allclose(np.array(listed['scores']), plain.scores.numpy(), atol=1e-5)


def test_no_prediction_evaluates(trained):
    cfg, checkpoint = trained
    cfg = copy.deepcopy(cfg)
    cfg.load_from = checkpoint
    cfg.model.test_cfg.score_thr = 1.0
    metrics = Runner.from_cfg(cfg).test()
    assert metrics.get('coco/bbox_mAP', 0.0) <= 0.0


@pytest.mark.slow
def test_resumed_run_continues_the_same_losses(data, tmp_path, monkeypatch):
    whole = small_config(monkeypatch, data, tmp_path / 'whole', epochs=3)
    _, expected = train(whole)
    first = small_config(monkeypatch, data, tmp_path / 'parts', epochs=3)
    first.default_hooks.warmup.cache_dir = whole.default_hooks.warmup.cache_dir
    stopped = copy.deepcopy(first)
    stopped.train_cfg.max_epochs = 1
    _, before = train(stopped)
    first.resume = True
    _, after = train(first)
    np.testing.assert_allclose(before + after, expected, rtol=1e-6)


def test_class_names_that_do_not_match_stop_before_training(data, tmp_path, monkeypatch):
    cfg = small_config(monkeypatch, data, tmp_path)
    cfg.train_dataloader.dataset.metainfo = dict(classes=('box', 'ring'))
    with pytest.raises(ValueError, match=r"\['ring'\] are not in it.*blue disk"):
        Runner.from_cfg(cfg).train()


@pytest.mark.slow
def test_more_classes_than_class_tokens_are_asked_for_in_groups(data, tmp_path, monkeypatch):
    categories = [dict(id=i + 1, name=f'name {i}') for i in range(70)]
    many = json.loads((data / 'train.json').read_text()) | dict(categories=categories)
    for split in ('train', 'val'):
        (tmp_path / split).symlink_to(data / split)
        (tmp_path / f'{split}.json').write_text(json.dumps(many))
    _, losses = train(small_config(monkeypatch, tmp_path, tmp_path / 'work'))
    assert np.isfinite(losses).all()


def test_checkpoint_of_another_vocabulary(trained):
    cfg, checkpoint = trained
    cfg = copy.deepcopy(cfg)
    cfg.model.vocabulary.coord_range = 32
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        for transform in loader.dataset.pipeline:
            if 'vocabulary' in transform:
                transform.vocabulary.coord_range = 32
    cfg.load_from = checkpoint
    with pytest.raises(ValueError, match='vocabulary'):
        Runner.from_cfg(cfg).test()


@pytest.mark.parametrize('content', [b'', b'\x89PNG\r\n\x1a\n broken'])
def test_unreadable_image_is_named(trained, tmp_path, content):
    cfg, checkpoint = trained
    model = init_detector(copy.deepcopy(cfg), checkpoint, device='cpu', cfg_options={})
    path = tmp_path / 'broken.png'
    path.write_bytes(content)
    with pytest.raises(ValueError, match='broken.png'):
        inference_detector(model, str(path))
