"""All tasks in one test run."""

import copy
import json
import re
from pathlib import Path

import pytest
from mmengine.runner import Runner

from tests.helpers.scenes import make_coco_folder, small_config
from visionllm_mm.engine.loops import TasksFailedError, results_table


def test_table_has_what_is_compared_and_marks_what_is_missing():
    metrics = {'detection/AP': 0.5, 'caption/CIDEr': 1.25, 'vqa/accuracy': 0.75}
    references = {
        'detection/AP': dict(paper=0.446, trivial=0.0),
        'vqa/accuracy': dict(trivial=0.3464),
        'pose/AP': dict(paper=0.1),
    }
    assert results_table(metrics, references).splitlines() == [
        'metric        here   paper  trivial',
        'detection/AP  0.500  0.446  0.000',
        'vqa/accuracy  0.750  -      0.346',
        'pose/AP       -      0.100  -',
    ]
    assert results_table(metrics, None).splitlines()[2] == 'caption/CIDEr  1.250'


def test_tasks_are_tested_one_after_the_other(tmp_path, monkeypatch):
    cfg = small_config(monkeypatch, make_coco_folder(tmp_path / 'coco', 1, 3), tmp_path / 'work')
    cfg.test_dataloader.batch_size = 1
    other = copy.deepcopy(cfg.test_dataloader)
    other.dataset.indices = [0]
    cfg.test_evaluator.outfile_prefix = str(tmp_path / 'all')
    cfg.test_cfg = dict(
        type='MultiTaskTestLoop',
        first_task='all',
        tasks=dict(one=dict(dataloader=other, evaluator=dict(cfg.val_evaluator, outfile_prefix=str(tmp_path / 'one')))),
    )
    cfg.experiment_name = 'loops'
    runner = Runner.from_cfg(cfg)
    metrics = runner.test()
    assert {'all/coco/bbox_mAP', 'one/coco/bbox_mAP'} <= set(metrics)
    sizes = {name: len({box['image_id'] for box in _load(tmp_path / f'{name}.bbox.json')}) for name in ('all', 'one')}
    assert sizes == {'all': 3, 'one': 1}
    assert _load(Path(runner.log_dir) / f'{runner.timestamp}.json') == metrics
    log = (Path(runner.log_dir) / f'{runner.timestamp}.log').read_text()
    assert re.findall(r'Epoch\(test\) \[(\d+/\d+)\] .*bbox_mAP', log) == ['3/3', '1/1']


def test_a_task_that_fails_does_not_stop_the_others(tmp_path, monkeypatch):
    cfg = small_config(monkeypatch, make_coco_folder(tmp_path / 'coco', 1, 2), tmp_path / 'work')
    cfg.test_cfg = dict(
        type='MultiTaskTestLoop',
        first_task='bad',
        tasks=dict(
            good=dict(dataloader=copy.deepcopy(cfg.test_dataloader), evaluator=copy.deepcopy(cfg.val_evaluator))
        ),
    )
    cfg.test_dataloader.dataset.update(type='CocoDataset', data_prefix=dict(img='no/such/folder/'))
    cfg.experiment_name = 'loops2'
    runner = Runner.from_cfg(cfg)
    with pytest.raises(TasksFailedError, match='1 of 2 tasks could not be tested; bad: none of 2 samples'):
        runner.test()
    assert 'good/coco/bbox_mAP' in _load(Path(runner.log_dir) / f'{runner.timestamp}.json')
    log = (Path(runner.log_dir) / f'{runner.timestamp}.log').read_text()
    assert 'bad could not be tested; the other tasks are: none of 2 samples' in log and 'Traceback' not in log


def _load(path):
    return json.loads(path.read_text())
