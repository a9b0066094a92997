"""Degenerate and bad input through the public ways in."""

import copy
import json

import cv2
import numpy as np
import pytest
import torch
from mmdet.apis import DetInferencer, inference_detector, init_detector
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from tests.helpers.scenes import NAMES, make_coco_folder, small_config, train

PROMPT = ' . '.join(NAMES)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return make_coco_folder(tmp_path_factory.mktemp('coco'), num_train=4, num_val=2)


@pytest.fixture(scope='module')
def config(data, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        return small_config(patch, data, tmp_path_factory.mktemp('work'))


@pytest.fixture(scope='module')
def weights(config, tmp_path_factory):
    """Path of a checkpoint with the initial weights."""
    path = tmp_path_factory.mktemp('weights') / 'initial.pth'
    init_default_scope('mmdet')
    torch.manual_seed(0)
    torch.save(
        dict(state_dict=MODELS.build(config.model).state_dict(), meta=dict(dataset_meta=dict(classes=NAMES))), path
    )
    return str(path)


@pytest.fixture(scope='module')
def inferencer(config, weights):
    return DetInferencer(model=copy.deepcopy(config), weights=weights, device='cpu', show_progress=False)


@pytest.fixture(scope='module')
def detector(config, weights):
    return init_detector(copy.deepcopy(config), weights, device='cpu', cfg_options={})


def _listed(inferencer, inputs, **kwargs):
    return inferencer(inputs, no_save_vis=True, **kwargs)['predictions']


def test_data_without_any_object_trains_and_evaluates(tmp_path, monkeypatch):
    data = make_coco_folder(tmp_path / 'coco', num_train=4, num_val=2)
    for split in ('train', 'val'):
        content = json.loads((data / f'{split}.json').read_text())
        (data / f'{split}.json').write_text(json.dumps(content | dict(annotations=[])))
    cfg = small_config(monkeypatch, data, tmp_path / 'work')
    with pytest.raises(ValueError, match='train.json: it has no annotations'):
        train(cfg)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.type = 'CocoDataset'
    cfg.val_evaluator = cfg.test_evaluator = dict(type='CocoMetric', ann_file=str(data / 'val.json'), metric='bbox')
    runner, losses = train(cfg)
    assert len(losses) == 1 and np.isfinite(losses).all()
    assert all(p.isfinite().all() for p in runner.model.parameters())


def test_training_survives_validation_without_predictions(data, tmp_path, monkeypatch):
    """Nothing above the threshold: no COCO table, no best checkpoint, but the epoch's checkpoint is there."""
    cfg = small_config(monkeypatch, data, tmp_path / 'work', epochs=2)
    cfg.model.test_cfg.score_thr = 1.1
    cfg.train_cfg.val_interval = 1
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', interval=1, save_best='coco/bbox_mAP', rule='greater')
    _, losses = train(cfg)
    assert len(losses) == 2 and np.isfinite(losses).all()
    assert (tmp_path / 'work/epoch_2.pth').is_file() and not list((tmp_path / 'work').glob('best_*'))


def test_images_of_one_batch_may_name_different_classes(inferencer, data):
    images = [str(data / 'val/1.png'), str(data / 'val/2.png')]
    texts = ['ring', ' . '.join([*NAMES, 'star', 'red ring'])]
    together = _listed(inferencer, images, texts=texts, custom_entities=True, batch_size=2)
    for image, text, found in zip(images, texts, together, strict=True):
        alone = _listed(inferencer, image, texts=text, custom_entities=True)[0]
        np.testing.assert_allclose(found['scores'], alone['scores'], atol=1e-5)
        np.testing.assert_allclose(found['bboxes'], alone['bboxes'], atol=1e-2)
    assert set(together[0]['labels']) == {0} and set(together[1]['labels']) == {0, 1, 2, 3}


def test_classes_of_a_prompt_keep_their_labels_in_any_order(detector, data):
    image = str(data / 'val/1.png')
    for names in (NAMES, NAMES[::-1]):
        found = inference_detector(detector, image, text_prompt=' . '.join(names), custom_entities=True).pred_instances
        assert [names[label] for label in found.labels.tolist()] == found.label_names


@pytest.mark.parametrize('size', [(1, 1), (3, 200), (200, 3)])
def test_odd_image_sizes_are_answered(detector, tmp_path, size):
    cv2.imwrite(str(tmp_path / 'odd.png'), np.zeros((*size, 3), np.uint8))
    found = inference_detector(
        detector, str(tmp_path / 'odd.png'), text_prompt=PROMPT, custom_entities=True
    ).pred_instances
    assert found.bboxes.isfinite().all() and found.scores.isfinite().all()
    limits = torch.tensor([size[1], size[0]] * 2) + 1e-2
    assert (found.bboxes >= 0).all() and (found.bboxes <= limits).all()


@pytest.mark.parametrize('name, content', [('empty.png', b''), ('text.jpg', b'hello'), ('cut.png', None)])
def test_inferencer_names_a_broken_image_among_good_ones(inferencer, data, tmp_path, name, content):
    path, good = tmp_path / name, data / 'val/1.png'
    path.write_bytes(good.read_bytes()[:-200] if content is None else content)
    with pytest.raises(ValueError, match=name):
        _listed(inferencer, [str(good), str(path)], texts=PROMPT, custom_entities=True)


def test_missing_image_is_named(detector, tmp_path):
    with pytest.raises(FileNotFoundError, match='none.png'):
        inference_detector(detector, str(tmp_path / 'none.png'))


def test_broken_training_image_stops_the_training_with_its_name(tmp_path, monkeypatch):
    data = make_coco_folder(tmp_path / 'coco', num_train=4, num_val=2)
    (data / 'train/3.png').write_bytes((data / 'train/3.png').read_bytes()[:-500])
    with pytest.raises(ValueError, match='train/3.png'):
        train(small_config(monkeypatch, data, tmp_path / 'work'))


@pytest.mark.parametrize(
    'prompt, message',
    [
        ('a . a', r"\['a'\] are listed more than once"),
        (' . ', 'class set is empty'),
        (' . '.join(f'name {i} with rather many words in it' for i in range(64)), 'list fewer classes'),
    ],
)
def test_bad_prompts_are_errors(detector, inferencer, data, prompt, message):
    image = str(data / 'val/1.png')
    with pytest.raises(ValueError, match=message):
        inference_detector(detector, image, text_prompt=prompt, custom_entities=True)
    with pytest.raises(ValueError, match=message):
        _listed(inferencer, image, texts=prompt, custom_entities=True)


def test_more_names_than_class_tokens_are_asked_for_in_groups(detector, data):
    prompt = ' . '.join(f'n{i}' for i in range(65))
    found = inference_detector(detector, str(data / 'val/1.png'), text_prompt=prompt, custom_entities=True)
    assert 64 in found.pred_instances.labels and found.pred_instances.label_names.count('n64') > 0


def test_prompt_that_is_no_list_of_classes_says_how_to_write_one(detector, data):
    with pytest.raises(ValueError, match='"a . b" and pass custom_entities=True'):
        inference_detector(detector, str(data / 'val/1.png'), text_prompt='find the box')


def test_missing_checkpoint_is_named(config, tmp_path):
    path = str(tmp_path / 'none.pth')
    with pytest.raises(FileNotFoundError, match='none.pth'):
        init_detector(copy.deepcopy(config), path, device='cpu', cfg_options={})
    for settings in (dict(load_from=path), dict(load_from=path, resume=True)):
        cfg = copy.deepcopy(config)
        cfg.update(settings | dict(experiment_name=f'missing{len(settings)}'))
        with pytest.raises(FileNotFoundError, match='none.pth'):
            Runner.from_cfg(cfg).train()


def test_checkpoint_of_another_vocabulary_is_refused_at_inference(config, weights):
    cfg = copy.deepcopy(config)
    cfg.model.vocabulary.num_classes = 8
    with pytest.raises(ValueError, match='another vocabulary.*num_classes'):
        init_detector(cfg, weights, device='cpu', cfg_options={})


@pytest.mark.parametrize('part', ['llm', 'text_encoder'])
def test_missing_language_model_is_named_before_anything_runs(config, part):
    cfg = copy.deepcopy(config)
    cfg.model[part] = dict(type=cfg.model[part].type, path='/no/such/folder')
    with pytest.raises(FileNotFoundError, match='/no/such/folder'):
        Runner.from_cfg(cfg)


def test_an_array_is_answered_as_its_file(config, weights, data):
    # mmdet rewrites the pipeline of a detector that was given an array, so the file comes first.
    detector, image = init_detector(copy.deepcopy(config), weights, device='cpu', cfg_options={}), data / 'val/1.png'
    from_file = inference_detector(detector, str(image), text_prompt=PROMPT, custom_entities=True).pred_instances
    from_array = inference_detector(
        detector, cv2.imread(str(image)), text_prompt=PROMPT, custom_entities=True
    ).pred_instances
    torch.testing.assert_close(from_array.bboxes, from_file.bboxes)
    torch.testing.assert_close(from_array.scores, from_file.scores)


def test_unusual_image_channels_load_like_any_other(inferencer, tmp_path):
    """Grey and transparent files are read as colour images."""
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 4), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / 'grey.png'), picture[..., 0])
    cv2.imwrite(str(tmp_path / 'alpha.png'), picture)
    found = _listed(
        inferencer, [str(tmp_path / 'grey.png'), str(tmp_path / 'alpha.png')], texts=PROMPT, custom_entities=True
    )
    assert [len(f['scores']) > 0 for f in found] == [True, True]
