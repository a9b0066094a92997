"""Data whose classes do not fit is refused before training and before testing."""

import json
from types import SimpleNamespace

import pytest
import torch
from mmdet.datasets import CocoDataset
from mmengine.dataset import BaseDataset, ConcatDataset, RepeatDataset
from mmengine.runner import Runner
from torch.utils.data import ConcatDataset as TorchConcatDataset

from tests.helpers.scenes import make_coco_folder, small_config
from tests.helpers.tiny import build_model
from visionllm_mm.datasets import GroundingInstruction, OneTaskSampler, QuestionInstruction
from visionllm_mm.engine import CheckClassNamesHook
from visionllm_mm.instructions import Vocabulary

IN_FILE = ['box', 'disk', 'ring']


def _dataset(tmp_path, classes=tuple(IN_FILE), test_mode=False, in_file=IN_FILE):
    path = tmp_path / f'{len(list(tmp_path.iterdir()))}.json'
    path.write_text(
        json.dumps(
            dict(
                images=[dict(id=1, file_name='a.png', width=9, height=9)],
                categories=[dict(id=i, name=name) for i, name in enumerate(in_file)],
                annotations=[dict(id=1, image_id=1, category_id=0, bbox=[1, 1, 2, 2], area=4, iscrowd=0)],
            )
        )
    )
    return CocoDataset(
        ann_file=str(path),
        data_prefix=dict(img=''),
        metainfo=dict(classes=classes),
        pipeline=[],
        test_mode=test_mode,
        serialize_data=False,
    )


def _runner(train=None, val=None, test=None, num_classes=8):
    def loop(dataset):
        return None if dataset is None else SimpleNamespace(dataloader=SimpleNamespace(dataset=dataset))

    model = torch.nn.Module()
    model.vocabulary = Vocabulary(num_classes=num_classes)
    loader = SimpleNamespace(dataset=train, sampler=None, batch_size=1)
    return SimpleNamespace(train_dataloader=loader, val_loop=loop(val), test_loop=loop(test), model=model)


def _train(tmp_path, train=None, val=None, **kwargs):
    CheckClassNamesHook().before_train(_runner(train or _dataset(tmp_path), val, **kwargs))


def test_matching_names_pass(tmp_path):
    good = _dataset(tmp_path)
    _train(tmp_path, good, _dataset(tmp_path, test_mode=True))
    CheckClassNamesHook().before_test(_runner(test=_dataset(tmp_path, test_mode=True)))


def test_names_that_a_model_can_hardly_tell_apart_are_logged(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr('visionllm_mm.instructions.names.print_log', lambda line, **kwargs: lines.append(line))
    names = ['oak tree', 'Oak-trees', 'elm']
    _train(tmp_path, _dataset(tmp_path, tuple(names), in_file=names))
    assert lines == [
        "class names that the model can hardly tell apart: 'oak tree' and 'Oak-trees'. Rename or merge them"
    ]


def test_some_of_the_files_classes_in_its_order_pass(tmp_path):
    _train(tmp_path, _dataset(tmp_path, ('box', 'ring')))


@pytest.mark.parametrize(
    'classes, message',
    [
        (('box', 'cube'), r"\['cube'\] are not in it. Its categories are \['box', 'disk', 'ring'\]: set metainfo"),
        (('Box', 'disk', 'ring'), r"\['Box'\] are not in it"),
        (('ring', 'box', 'disk'), 'they stand in another order'),
    ],
)
@pytest.mark.parametrize('where', ['train', 'val', 'test', 'concat', 'repeat'])
def test_names_that_do_not_match_are_named(tmp_path, classes, message, where):
    bad = _dataset(tmp_path, classes, test_mode=where in ('val', 'test'))
    with pytest.raises(ValueError, match=f'json: {message}'):
        if where == 'test':
            CheckClassNamesHook().before_test(_runner(test=bad))
        elif where == 'val':
            _train(tmp_path, val=bad)
        elif where == 'concat':
            _train(tmp_path, ConcatDataset([_dataset(tmp_path, classes), bad], ignore_keys=['classes']))
        else:
            _train(tmp_path, RepeatDataset(bad, 2) if where == 'repeat' else bad)


def test_evaluation_needs_a_class_token_for_every_class(tmp_path):
    _train(tmp_path, num_classes=2)  # while training, subsets are asked for
    with pytest.raises(ValueError, match='3 classes, but the vocabulary has only 2'):
        _train(tmp_path, val=_dataset(tmp_path, test_mode=True), num_classes=2)
    with pytest.raises(ValueError, match='3 classes'):
        CheckClassNamesHook().before_test(_runner(test=_dataset(tmp_path, test_mode=True), num_classes=2))


def test_a_set_asked_for_in_groups_needs_fewer_class_tokens(tmp_path):
    dataset = _dataset(tmp_path, test_mode=True)
    dataset.pipeline = SimpleNamespace(transforms=[SimpleNamespace(), SimpleNamespace(grouped=True)])
    CheckClassNamesHook().before_test(_runner(test=dataset, num_classes=2))


def test_other_data_sets_and_detectors_are_left_alone(tmp_path):
    runner = _runner(train=SimpleNamespace(ann_file='list.txt'), test=_dataset(tmp_path, test_mode=True))
    CheckClassNamesHook().before_train(runner)
    runner.model = torch.nn.Linear(1, 1)
    CheckClassNamesHook().before_test(runner)


def test_wrapped_models_are_checked_too(tmp_path):
    runner = _runner(test=_dataset(tmp_path, test_mode=True), num_classes=1)
    runner.model = SimpleNamespace(module=runner.model)
    with pytest.raises(ValueError, match='only 1 class tokens'):
        CheckClassNamesHook().before_test(runner)


def test_batches_of_several_tasks_are_refused(tmp_path):
    runner = _runner(_dataset(tmp_path))
    joined = TorchConcatDataset([range(4), range(4)])
    runner.train_dataloader.sampler, runner.train_dataloader.batch_size = OneTaskSampler(joined, 4, seed=0), 8
    with pytest.raises(ValueError, match='batch_size is 8, but that of its sampler is 4'):
        CheckClassNamesHook().before_train(runner)
    runner.train_dataloader.batch_size = 4
    CheckClassNamesHook().before_train(runner)


def test_texts_of_single_samples_too_long_for_the_model_are_refused(tmp_path):
    model = build_model()
    vocabulary = dict(num_classes=64, coord_range=64, max_points=24)

    def check(key, transform, text):
        data = BaseDataset(pipeline=[lambda results: results], lazy_init=True, serialize_data=False)
        data.data_list = [{key: 'short'}, {key: text}, {}]
        data._fully_initialized, data.pipeline.transforms = True, [transform]
        runner = _runner(data)
        runner.model = model
        CheckClassNamesHook().before_train(runner)

    for key, transform in (
        ('text', GroundingInstruction(vocabulary, training=True)),
        ('question', QuestionInstruction(training=True)),
    ):
        check(key, transform, 'the red star?')
        with pytest.raises(ValueError, match='takes|the LLM has'):
            check(key, transform, 'the red star and ' * 1000 + '?')


@pytest.mark.parametrize('part', ['llm', 'text_encoder'])
@pytest.mark.parametrize('where', ['train', 'val'])
def test_templates_too_long_for_the_model_are_refused_before_anything_runs(tmp_path, monkeypatch, part, where):
    cfg = small_config(monkeypatch, make_coco_folder(tmp_path / 'coco', 2, 2), tmp_path / 'work')
    cfg.experiment_name = f'long-{part}-{where}'
    long = '<image> Find <class> as <format>, range <range>' + ' and so on' * 120 + '.'
    for transform in (cfg.train_dataloader if where == 'train' else cfg.val_dataloader).dataset.pipeline:
        if transform.type == 'DetectionInstruction':
            transform.templates = [long]
    cfg.model[part].config.max_position_embeddings = 350
    with pytest.raises(ValueError, match='the LLM has 350' if part == 'llm' else 'the text encoder takes 350'):
        Runner.from_cfg(cfg).train()
    assert not (tmp_path / 'work/warmup').exists()
