"""An evaluation goes on past samples that can't be answered."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.runner import Runner

from tests.helpers.scenes import add_outlines, make_coco_folder, small_config
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


def _spoil(data: Path) -> None:
    """Cuts the first image off and removes the third."""
    whole = (data / 'val/1.png').read_bytes()
    (data / 'val/1.png').write_bytes(whole[: len(whole) // 2])
    (data / 'val/3.png').unlink()


@pytest.mark.parametrize('workers, outlines', [(0, False), (1, False), (0, True)])
def test_unreadable_images_are_counted_and_the_others_evaluated_and_drawn(
    tmp_path, monkeypatch, capsys, workers, outlines
):
    data = make_coco_folder(tmp_path / 'coco', 1, 4)
    cfg = small_config(monkeypatch, data, tmp_path / 'work')
    cfg.experiment_name = f'unreadable{workers}{outlines}'
    cfg.test_dataloader.num_workers = workers
    cfg.test_evaluator.metric = ['bbox']
    if outlines:
        add_outlines(data / 'val.json')
        next(t for t in cfg.test_dataloader.dataset.pipeline if t.type == 'DetectionInstruction').update(
            type='SegmentationInstruction', num_points=4
        )
        cfg.test_evaluator.metric = ['bbox', 'segm']
    cfg.default_hooks.visualization.update(draw=True, test_out_dir=str(tmp_path / 'shown'))
    _spoil(data)
    metrics = Runner.from_cfg(cfg).test()
    assert 'coco/bbox_mAP' in metrics and ('coco/segm_mAP' in metrics) == outlines
    log = ''.join(capsys.readouterr())
    assert '2 of the samples could not be answered' in log
    assert re.search('1.png: ValueError: .*truncated', log) and re.search('3.png: FileNotFoundError', log)
    assert sorted(path.name for path in (tmp_path / 'shown').iterdir()) == ['2.png', '4.png']


def test_unreadable_images_in_wrapped_data_are_counted_in_validations(tmp_path, monkeypatch, capsys):
    data = make_coco_folder(tmp_path / 'coco', 4, 4)
    cfg = small_config(monkeypatch, data, tmp_path / 'work')
    cfg.experiment_name = 'wrapped'
    cfg.val_dataloader.dataset = dict(type='ConcatDataset', datasets=[cfg.val_dataloader.dataset])
    _spoil(data)
    Runner.from_cfg(cfg).train()
    assert '2 of the samples could not be answered' in ''.join(capsys.readouterr())


def test_a_config_that_answers_nothing_is_an_error(tmp_path, monkeypatch):
    cfg = small_config(monkeypatch, make_coco_folder(tmp_path / 'coco', 1, 3), tmp_path / 'work')
    cfg.experiment_name = 'all-failures'
    cfg.model.image_tokenizer.num_tokens = 400
    with pytest.raises(ValueError, match='none of 3 samples could be answered; .*fewer than num_tokens = 400'):
        Runner.from_cfg(cfg).test()


def test_a_wrong_folder_is_an_error_long_before_the_last_image(tmp_path, monkeypatch):
    cfg = small_config(monkeypatch, make_coco_folder(tmp_path / 'coco', 1, 20), tmp_path / 'work')
    cfg.experiment_name = 'wrong-folder'
    cfg.test_dataloader.update(batch_size=1)
    cfg.test_dataloader.dataset.data_prefix.img = 'nowhere/'
    with pytest.raises(ValueError, match='none of 8 samples could be answered; .*nowhere/1.png: FileNotFoundError'):
        Runner.from_cfg(cfg).test()


def test_failures_of_all_processes_are_counted(monkeypatch):
    log, model = [], SimpleNamespace(failures=[('a.png', 'no format')])
    runner = SimpleNamespace(model=model, logger=SimpleNamespace(log=lambda level, text: log.append(text)))
    gathered = [([('a.png', 'no format')], 1), ([], 4), ([('b.png', 'no set'), ('c.png', 'no set')], 4)]
    monkeypatch.setattr(report_failures_hook, 'all_gather_object', lambda mine: gathered)
    ReportFailuresHook().after_test_epoch(runner)
    assert '3 of the samples' in log[0] and 'c.png: no set' in log[0]


def test_other_detectors_are_left_alone():
    class Other:
        model = object()

    hook = ReportFailuresHook()
    hook.before_test_epoch(Other())
    hook.after_test_epoch(Other())
