"""Tools that measure a model, as commands: on a narrow model, or on the released one."""

import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.runner.checkpoint import save_checkpoint
from torch import nn

from tests.helpers.scenes import make_coco_folder, small_config
from tests.helpers.tiny import ROOT


def _run(*arguments) -> str:
    done = subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture
def config(tmp_path, monkeypatch):
    cfg = small_config(monkeypatch, make_coco_folder(tmp_path / 'coco', 2, 3), tmp_path / 'work')
    cfg.dump(tmp_path / 'narrow.py')
    return tmp_path / 'narrow.py'


@pytest.mark.slow
def test_instruction_following_is_measured(config, tmp_path, monkeypatch):
    cfg = small_config(monkeypatch, tmp_path / 'coco', tmp_path / 'work')
    cfg.experiment_name = 'weights'
    save_checkpoint(dict(state_dict=Runner.from_cfg(cfg).model.state_dict()), str(tmp_path / 'weights.pth'))
    said = _run('tools/evaluate_instructions.py', config, tmp_path / 'weights.pth', '--work-dir', tmp_path / 'work')
    templates = re.search(r'box AP with (\d+) templates: (.*?)  \(largest difference', said)
    assert int(templates[1]) == len(templates[2].split()) >= 8
    assert re.search(r'classes in 3 random orders: (0\.\d+ ){2}0\.\d+', said)
    own = tmp_path / 'own.txt'
    own.write_text('# mine\nBox <class> in <image>: <format>, <range>.\n<image> <class> <range> <format>\n')
    asked = _run(
        'tools/evaluate_instructions.py',
        config,
        tmp_path / 'weights.pth',
        '--work-dir',
        tmp_path / 'work',
        '--templates',
        own,
    )
    assert re.search(r'^box AP with 2 templates: 0\.\d+ 0\.\d+ ', asked, re.MULTILINE) and 'without' not in asked
    assert len(re.findall(r'without (box|blue disk): objects hit [01]\.\d+ -> [01]\.\d+, AP of the others', said)) == 2


def test_images_that_are_left_out_count_for_nothing(config, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    from evaluate_instructions import Evaluation

    init_default_scope('mmdet')
    cfg = Config.fromfile(config)
    cfg.test_dataloader.dataset.indices = [1]
    loader = Runner.build_dataloader(cfg.test_dataloader)
    evaluation = Evaluation(SimpleNamespace(model=nn.Identity(), test_dataloader=loader))
    truth = evaluation.coco.loadAnns(evaluation.coco.getAnnIds(imgIds=evaluation.image_ids))
    assert len(evaluation.coco.imgs) == 3 and {a['image_id'] for a in truth} == {2} and len(evaluation.coco.anns) > 2
    perfect = [dict(annotation, score=0.9) for annotation in truth]
    assert evaluation.average_precision(perfect) == pytest.approx(1)
    assert evaluation.objects_hit(perfect, truth[0]['category_id'], 0.3) == 1


@pytest.mark.slow
def test_decoding_is_timed(config):
    said = _run(
        'tools/benchmark.py', config, '--tokens', 6, '--kept', 2, '--points', 2, 3, '--repeat', 1, '--classes', 2
    )
    rows = re.findall(r'^ +(\d) +(\d+) +(\d+) +[\d.]+ +[\d.]+ +[\d.]+$', said, flags=re.MULTILINE)
    # M (1 + 2N) queries in one pass, M + 2N k in two
    assert rows == [('2', '30', '14'), ('3', '42', '18')] and 'with the instruction cached, ratio' in said


@pytest.mark.slow
def test_tasks_are_timed():
    said = _run('tools/benchmark_tasks.py', '--repeat', 1)
    rows = re.findall(r'^([A-Z].*?) +(\d+)$', said, flags=re.MULTILINE)
    assert len(rows) == 9 and all(0 < int(milliseconds) < 60_000 for _, milliseconds in rows)


@pytest.mark.slow
def test_a_full_size_run(config):
    said = _run('tools/run_full_size.py', config, '--image-size', 64, 96, '--num-classes', 2, '--objects', 3, '--train')
    stages = ('backbone', 'neck', 'text encoder', 'image tokenizer', 'LLM: prefix, pass 1', 'LLM: pass 2')
    for step in ('build', *stages, 'training step: backward', 'training step: optimizer'):
        assert re.search(rf'^{step} +[\d.]+ s   peak +[\d.]+ GiB$', said, flags=re.MULTILINE)
    for token in ('class', 'location'):
        assert re.search(rf'{token} tokens differ by 0.00000 at most, the likeliest is the same for 100.0%', said)
    assert re.search(r'^loss [\d.]+, gradient norm [\d.]+, [\d.]+ M trained$', said, flags=re.MULTILINE)


@pytest.mark.slow
def test_a_step_is_planned_and_measured(config):
    said = _run('tools/plan_memory.py', config, '--batch', 2, '--image-size', 64, 96, '--num-classes', 2, '--measure')
    assert re.search(r'^peak of a training step +0\.\d+ ', said, flags=re.MULTILINE)
    for row in ('peak, live tensors, MiB', 'peak, resident size, MiB', 'time of a step, s'):
        assert re.search(rf'^{row} +[\d.]+ +[\d.]+ +[+-][\d.]+ %$', said, flags=re.MULTILINE)


def test_planning_for_compiled_ops_is_not_compared_with_a_cpu(tmp_path):
    (tmp_path / 'config.py').touch()
    done = subprocess.run(
        [sys.executable, 'tools/plan_memory.py', str(tmp_path / 'config.py'), '--measure', '--ops', 'compiled'],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 2 and 'leave --ops out' in done.stderr
