"""Own data from the annotation file to the loss: what is left out is stated, what is unknown does no harm."""

import json
import runpy
import sys

import numpy as np
import pytest
from mmengine.config import Config

from tests.helpers.own_coco import FAULTS, make_folder
from tests.helpers.scenes import narrow, train
from tests.helpers.tiny import ROOT


def _config(data, work_dir, monkeypatch):
    monkeypatch.setenv('DATA_ROOT', str(data))
    monkeypatch.chdir(ROOT)
    cfg = Config.fromfile(ROOT / 'configs/visionllm/visionllm-tiny_finetune-coco-insseg.py')
    object.__setattr__(cfg, '_format_python_code', False)
    narrow(cfg.model)
    cfg.update(work_dir=str(work_dir), load_from=None, visualizer=None, param_scheduler=[])
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.update(batch_size=4, num_workers=0, persistent_workers=False)
        for step in loader.dataset.pipeline:
            step.update({key: (64, 64) for key in ('scale', 'crop_size') if key in step})
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    del cfg.default_hooks['warmup']
    return cfg


def test_objects_of_unknown_outline_are_trained_on_and_evaluated(tmp_path, monkeypatch, capsys):
    data = make_folder(tmp_path / 'own')
    for split in ('train', 'val'):
        content = json.loads((data / f'{split}.json').read_text())
        for i in [0, 1, 2, 3, 5] if split == 'train' else [0, 1]:
            content['annotations'][i]['segmentation'] = [[], None, [[1, 2]], [[float('nan')] * 6]][i % 4]
        (data / f'{split}.json').write_text(json.dumps(content))
    runner, losses = train(_config(data, tmp_path / 'run', monkeypatch))
    assert len(losses) == 1 and np.isfinite(losses).all()
    assert runner.message_hub.get_scalar('val/coco/segm_mAP').current() >= 0
    printed = capsys.readouterr().out
    for split, counts in (('train', '4 images, 6 boxes used'), ('val', '3 images, 4 boxes used')):
        assert f'{split}.json: {counts}' in printed
    assert 'box kept, outline unknown' in printed


@pytest.mark.parametrize('split', ['train', 'val'])
@pytest.mark.parametrize('tool', ['train.py', 'test.py'])
def test_tools_refuse_bad_files_in_one_line_before_a_model_is_built(tmp_path, monkeypatch, tool, split):
    data = next(fault for fault in FAULTS if fault.name == 'corners').make(tmp_path / 'own', split)
    monkeypatch.setenv('DATA_ROOT', str(data))
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'none.pth').write_bytes(b'')
    arguments = [] if tool == 'train.py' else ['none.pth']
    monkeypatch.setattr(sys, 'argv', [tool, str(ROOT / 'configs/visionllm/visionllm-tiny_custom-coco.py'), *arguments])
    monkeypatch.setattr('mmengine.runner.Runner.from_cfg', lambda cfg: pytest.fail('a model is built'))
    if tool == 'test.py' and split == 'train':
        with pytest.raises(pytest.fail.Exception, match='a model is built'):  # it does not read train.json
            runpy.run_path(str(ROOT / 'tools' / tool), run_name='__main__')
        return
    with pytest.raises(SystemExit, match=f'^{tool}: .*{split}.json: \\d boxes read like x1, y1, x2, y2'):
        runpy.run_path(str(ROOT / 'tools' / tool), run_name='__main__')
