"""tools/evaluate_simulated_tokens.py: the LLM alone, on image tokens simulated from annotations."""

import importlib
import re
from functools import partial

import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.registry import init_default_scope

from tests.helpers.command_line import run_tool
from tests.helpers.scenes import narrow_multitask_config
from tests.helpers.tiny import ROOT
from visionllm_mm.miniscenes import DatasetArguments, write_dataset

TOOL = ROOT / 'tools/evaluate_simulated_tokens.py'
_run = partial(run_tool, TOOL.name)


@pytest.fixture
def cfg(tmp_path, monkeypatch):
    write_dataset(tmp_path / 'data', DatasetArguments(num_train=1, num_val=6))
    monkeypatch.setenv('MINISCENES_ROOT', str(tmp_path / 'data'))
    cfg = narrow_multitask_config()
    cfg.model.test_cfg.text.max_length = 4  # random weights find no end
    init_default_scope('mmdet')
    return cfg


@pytest.mark.slow
def test_both_tasks_are_measured(cfg, tmp_path):
    cfg.dump(tmp_path / 'narrow.py')
    torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict(), meta={}), tmp_path / 'random.pth')
    done = _run(tmp_path / 'narrow.py', tmp_path / 'random.pth', '--work-dir', tmp_path / 'work')
    assert done.returncode == 0, done.stderr[-2000:]
    values = dict(re.findall(r'^(\S+): (\d\.\d{3})$', done.stdout, re.MULTILINE))
    assert {'grounding/P@0.5', 'vqa/accuracy'} <= set(values) and all(float(value) <= 1 for value in values.values())


def test_tokens_stand_for_the_annotated_objects(cfg, monkeypatch):
    monkeypatch.syspath_prepend(str(TOOL.parent))
    answer = importlib.import_module('evaluate_simulated_tokens').answer
    dataset = DATASETS.build(cfg.simulated_tasks.grounding)
    samples = [dataset[i]['data_samples'] for i in range(4)]
    with torch.no_grad():
        answer(MODELS.build(cfg.model).eval(), samples, ['tree'], noise=0.0, generator=torch.Generator().manual_seed(0))
    for sample in samples:
        annotated = np.unique(sample.gt_instances.bboxes.numpy().round(3), axis=0)
        found = sample.pred_instances.bboxes
        np.testing.assert_allclose(np.unique(found[found.any(dim=1)].numpy().round(3), axis=0), annotated, atol=0.01)
        assert len(sample.pred_instances.scores) == 10


def test_config_without_simulated_tasks(tmp_path):
    done = _run(ROOT / 'configs/visionllm/visionllm-tiny_miniscenes-det.py', TOOL)
    assert done.returncode == 1 and 'has no simulated_tasks' in done.stderr
