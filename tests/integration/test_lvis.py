"""More classes than one instruction names: LVIS's format, data set and metric."""

import json

import pytest
from mmengine.runner import Runner

from tests.helpers.scenes import make_coco_folder, small_config, train


@pytest.fixture
def cfg(tmp_path, monkeypatch):
    """Five classes of LVIS's form, three of them in no image, and two class tokens."""
    data = make_coco_folder(tmp_path / 'lvis', 4, 3)
    names = ['box', 'blue disk', 'cone', 'bar', 'ring']
    for split in ('train', 'val'):
        content = json.loads((data / f'{split}.json').read_text())
        content['categories'] = [dict(id=k + 1, name=name, frequency='fcr'[k % 3]) for k, name in enumerate(names)]
        for image in content['images']:
            image.update(
                neg_category_ids=[3],
                not_exhaustive_category_ids=[],
                coco_url=f'http://images.cocodataset.org/{split}/{image["file_name"]}',
            )
        for annotation in content['annotations']:
            del annotation['iscrowd']  # LVIS has none
        (data / f'{split}.json').write_text(json.dumps(content))
    cfg = small_config(monkeypatch, data, tmp_path / 'work')
    cfg.model.vocabulary.num_classes = 2
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.type = 'LVISV1Dataset'
        loader.dataset.data_prefix = dict(img='')
        for transform in loader.dataset.pipeline:
            if transform.type == 'DetectionInstruction':
                transform.vocabulary.num_classes = 2
                transform.max_classes = 2
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        evaluator.type = 'LVISMetric'
        del evaluator.data_prefix
    cfg.experiment_name = tmp_path.name
    return cfg


def test_classes_are_sampled_for_training_and_asked_for_in_groups(cfg):
    runner, losses = train(cfg)
    assert losses
    cfg.load_from = f'{cfg.work_dir}/epoch_1.pth'
    cfg.experiment_name += 'test'
    asked = []
    runner = Runner.from_cfg(cfg)
    parse = runner.model.parse_instructions
    runner.model.parse_instructions = lambda samples: asked.extend(parse(samples)) or parse(samples)
    metrics = runner.test()
    assert any(name.endswith('bbox_AP') for name in metrics), metrics
    assert {instruction.class_names for instruction in asked} == {('box', 'blue disk'), ('cone', 'bar'), ('ring',)}


def test_without_groups_too_many_classes_are_an_error_before_training(cfg):
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        for transform in loader.dataset.pipeline:
            transform.pop('max_classes', None)
    with pytest.raises(ValueError, match='5 classes, but the vocabulary has only 2 class tokens.*max_classes'):
        train(cfg)
