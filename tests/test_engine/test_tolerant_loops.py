"""An evaluation goes on past samples that can't be loaded or answered."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmdet.models.detectors import DeformableDETR
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.evaluator import Evaluator
from mmengine.runner import Runner

from tests.helpers.scenes import add_polygons, make_coco_folder, small_config
from tests.helpers.tiny import ROOT
from visionllm_mm.engine import tolerant_loops
from visionllm_mm.engine.tolerant_loops import NothingAnsweredError, TolerantTestLoop, TolerantValLoop


def test_failures_are_counted_and_listed(tmp_path, monkeypatch, capsys):
    cfg = small_config(monkeypatch, make_coco_folder(tmp_path / 'coco', 1, 3), tmp_path / 'work')
    cfg.experiment_name = 'failures'
    runner = Runner.from_cfg(cfg)
    assert type(runner.test_loop) is TolerantTestLoop and type(runner.val_loop) is TolerantValLoop
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
    assert runner.test_loop.failures == [(str(tmp_path / 'coco/val/2.png'), 'no format')]


def _spoil(data: Path) -> None:
    """Cuts the first image off and removes the third; after the data set has looked for them."""
    whole = (data / 'val/1.png').read_bytes()
    (data / 'val/1.png').write_bytes(whole[: len(whole) // 2])
    (data / 'val/3.png').unlink()


@pytest.mark.parametrize('workers, polygons', [(0, False), (1, False), (0, True)])
def test_unreadable_images_are_counted_and_the_others_evaluated_and_drawn(
    tmp_path, monkeypatch, capsys, workers, polygons
):
    data = make_coco_folder(tmp_path / 'coco', 1, 4)
    cfg = small_config(monkeypatch, data, tmp_path / 'work')
    cfg.experiment_name = f'unreadable{workers}{polygons}'
    cfg.test_dataloader.num_workers = workers
    cfg.test_evaluator.metric = ['bbox']
    if polygons:
        add_polygons(data / 'val.json')
        next(t for t in cfg.test_dataloader.dataset.pipeline if t.type == 'DetectionInstruction').update(
            type='SegmentationInstruction', num_points=4
        )
        cfg.test_evaluator.metric = ['bbox', 'segm']
    cfg.default_hooks.visualization.update(draw=True, test_out_dir=str(tmp_path / 'shown'))
    runner = Runner.from_cfg(cfg)
    assert len(runner.test_loop.dataloader.dataset) == 4
    _spoil(data)
    metrics = runner.test()
    assert 'coco/bbox_mAP' in metrics and ('coco/segm_mAP' in metrics) == polygons
    log = ''.join(capsys.readouterr())
    assert '2 of the samples could not be answered' in log
    assert re.search('1.png: ImageFileError: .*truncated', log) and re.search('3.png: FileNotFoundError', log)
    assert sorted(path.name for path in (tmp_path / 'shown').iterdir()) == ['2.png', '4.png']


def test_unreadable_images_in_wrapped_data_are_counted_in_validations(tmp_path, monkeypatch, capsys):
    data = make_coco_folder(tmp_path / 'coco', 4, 4)
    cfg = small_config(monkeypatch, data, tmp_path / 'work')
    cfg.experiment_name = 'wrapped'
    cfg.val_dataloader.dataset = dict(type='ConcatDataset', datasets=[cfg.val_dataloader.dataset])
    runner = Runner.from_cfg(cfg)
    assert len(runner.val_loop.dataloader.dataset) == 4
    _spoil(data)
    runner.train()
    assert '2 of the samples could not be answered' in ''.join(capsys.readouterr())


def test_a_config_that_answers_nothing_is_an_error(tmp_path, monkeypatch):
    cfg = small_config(monkeypatch, make_coco_folder(tmp_path / 'coco', 1, 3), tmp_path / 'work')
    cfg.experiment_name = 'all-failures'
    cfg.model.image_tokenizer.num_tokens = 400
    with pytest.raises(
        NothingAnsweredError, match='none of 3 samples could be answered; .*fewer than num_tokens = 400'
    ):
        Runner.from_cfg(cfg).test()


def test_a_lost_folder_is_an_error_long_before_the_last_image(tmp_path, monkeypatch):
    data = make_coco_folder(tmp_path / 'coco', 1, 20)
    cfg = small_config(monkeypatch, data, tmp_path / 'work')
    cfg.experiment_name = 'lost-folder'
    cfg.test_dataloader.update(batch_size=1)
    runner = Runner.from_cfg(cfg)
    assert len(runner.test_loop.dataloader.dataset) == 20
    (data / 'val').rename(data / 'nowhere')
    with pytest.raises(
        NothingAnsweredError, match='none of 8 samples could be answered; .*val/1.png: FileNotFoundError'
    ):
        runner.test()


def test_other_detectors_are_evaluated_past_a_bad_image_too(tmp_path, monkeypatch, capsys):
    data = make_coco_folder(tmp_path / 'coco', 1, 4)
    monkeypatch.setenv('DATA_ROOT', str(data))
    cfg = Config.fromfile(ROOT / 'configs/baselines/deformable-detr_r18_custom-coco.py')
    cfg.update(work_dir=str(tmp_path / 'work'), experiment_name='other-detector')
    cfg.model.backbone.base_channels, cfg.model.neck.in_channels = 8, [16, 32, 64]
    cfg.test_dataloader.update(batch_size=4, num_workers=0, persistent_workers=False)
    next(t for t in cfg.test_dataloader.dataset.pipeline if t.type == 'Resize').scale = (64, 64)
    runner = Runner.from_cfg(cfg)
    assert len(runner.test_loop.dataloader.dataset) == 4
    _spoil(data)
    assert isinstance(runner.model, DeformableDETR)
    metrics = runner.test()
    assert 'coco/bbox_mAP' in metrics
    assert '2 of the samples could not be answered' in ''.join(capsys.readouterr())
    assert [Path(path).name for path, _ in runner.test_loop.failures] == ['1.png', '3.png']


class _Model:
    """Answers samples with their number and notes which it was asked for; one of them it can't answer."""

    def __init__(self, bad: int) -> None:
        self.bad, self.calls = bad, []

    def test_step(self, data_batch: dict) -> list[DetDataSample]:
        samples = data_batch['data_samples']
        assert data_batch['inputs'] == [sample.img_id for sample in samples]
        self.calls.append(data_batch['inputs'])
        if self.bad in data_batch['inputs']:
            raise RuntimeError('no format')
        for sample in samples:
            sample.set_metainfo(dict(answer=sample.img_id))
        return samples

    val_step = test_step


def _loop(cls, model=None, log=None):
    """A loop of which the batches are given by hand; ``log`` gets the lines that are logged."""
    runner = SimpleNamespace(
        model=model,
        call_hook=lambda *args, **kwargs: None,
        logger=SimpleNamespace(log=lambda level, text: log.append(text)),
        visualizer=SimpleNamespace(),
    )
    dataset = BaseDataset(pipeline=[], lazy_init=True)
    evaluator = Evaluator([])
    evaluator.process = lambda data_samples, data_batch: runner.outputs.extend(data_samples)
    runner.outputs = []
    return cls(runner, SimpleNamespace(dataset=dataset), evaluator)


@pytest.mark.parametrize('cls', [TolerantValLoop, TolerantTestLoop])
@pytest.mark.parametrize('bad', [0, 5, 7])
def test_a_batch_that_fails_is_halved(cls, bad):
    model = _Model(bad)
    loop = _loop(cls, model)
    samples = [DetDataSample(metainfo=dict(img_id=i, img_path=f'{i}.png', ori_shape=(8, 8))) for i in range(8)]
    loop.run_iter(0, dict(inputs=list(range(8)), data_samples=samples))
    # All, then both halves of 4, of 2 and of 1: each sample but the bad one is answered once.
    assert len(model.calls) == 7 < 1 + len(samples)
    assert sorted(i for asked in model.calls if bad not in asked for i in asked) == [i for i in range(8) if i != bad]
    assert [sample.img_id for sample in loop.runner.outputs] == list(range(8))
    assert [sample.get('answer') for sample in loop.runner.outputs] == [i if i != bad else None for i in range(8)]
    assert loop.failures == [(f'{bad}.png', 'no format')] and loop.num_seen == 8
    assert len(loop.runner.outputs[bad].pred_instances) == 0 and loop.runner.outputs[bad].failure == 'no format'


@pytest.mark.parametrize('cls', [TolerantValLoop, TolerantTestLoop])
def test_failures_of_all_processes_are_counted(monkeypatch, cls):
    log = []
    loop = _loop(cls, log=log)
    loop.failures, loop.num_seen = [('a.png', 'no format')], 1
    gathered = [(loop.failures, loop.num_seen), ([], 4), ([('b.png', 'no set'), ('c.png', 'no set')], 4)]
    monkeypatch.setattr(tolerant_loops, 'all_gather_object', lambda mine: gathered if mine == gathered[0] else None)
    loop._report()
    assert '3 of the samples' in log[0] and 'c.png: no set' in log[0]
