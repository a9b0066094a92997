"""An evaluation goes on past samples that can't be answered."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.runner import Runner

from tests.integration.scenes import make_coco_folder, small_config
from visionllm_mm.engine.hooks import ReportFailuresHook, report_failures_hook


def test_failures_are_counted_and_listed(tmp_path, monkeypatch, capsys):
    cfg = small_config(monkeypatch, make_coco_folder(tmp_path / 'coco', 1, 3), tmp_path / 'work')
    cfg.experiment_name = 'failures'
    runner = Runner.from_cfg(cfg)
    assert any(isinstance(hook, ReportFailuresHook) for hook in runner.hooks)
    parse, images = runner.model.parse_instructions, []

    def fail_on_the_second(samples):
        images.extend(sample.img_path for sample in samples)
        if any(sample.img_id == 2 for sample in samples):
            raise ValueError('no format')
        return parse(samples)

    monkeypatch.setattr(runner.model, 'parse_instructions', fail_on_the_second)
    metrics = runner.test()
    assert 'coco/bbox_mAP' in metrics and len(set(images)) == 3
    log = capsys.readouterr()
    assert '1 of the samples could not be answered' in log.out + log.err and 'no format' in log.out + log.err
    assert runner.model.failures is None


@pytest.mark.parametrize('workers', [0, 1])
def test_unreadable_images_are_counted_and_the_others_evaluated(tmp_path, monkeypatch, capsys, workers):
    data = make_coco_folder(tmp_path / 'coco', 1, 4)
    cfg = small_config(monkeypatch, data, tmp_path / 'work')
    cfg.experiment_name = f'unreadable{workers}'
    cfg.test_dataloader.num_workers = workers
    whole = Path(data / 'val/2.png').read_bytes()
    Path(data / 'val/2.png').write_bytes(whole[:len(whole) // 2])
    Path(data / 'val/3.png').unlink()
    assert 'coco/bbox_mAP' in Runner.from_cfg(cfg).test()
    log = ''.join(capsys.readouterr())
    assert '2 of the samples could not be answered' in log
    assert re.search('2.png: ValueError: .*truncated', log) and re.search('3.png: FileNotFoundError', log)


def test_a_config_that_answers_nothing_is_an_error(tmp_path, monkeypatch):
    cfg = small_config(monkeypatch, make_coco_folder(tmp_path / 'coco', 1, 3), tmp_path / 'work')
    cfg.experiment_name = 'all-failures'
    cfg.model.image_tokenizer.num_tokens = 400
    with pytest.raises(ValueError, match='no sample of the first batch.*fewer than num_tokens = 400'):
        Runner.from_cfg(cfg).test()


def test_failures_of_all_processes_are_counted(monkeypatch):
    log, model = [], SimpleNamespace(failures=[('a.png', 'no format')])
    runner = SimpleNamespace(model=model, logger=SimpleNamespace(log=lambda level, text: log.append(text)))
    gathered = [[('a.png', 'no format')], [], [('b.png', 'no set'), ('c.png', 'no set')]]
    monkeypatch.setattr(report_failures_hook, 'all_gather_object', lambda mine: gathered)
    ReportFailuresHook().after_test_epoch(runner)
    assert '3 of the samples' in log[0] and 'c.png: no set' in log[0]


def test_other_detectors_are_left_alone():
    class Other:
        model = object()

    hook = ReportFailuresHook()
    hook.before_test_epoch(Other())
    hook.after_test_epoch(Other())
