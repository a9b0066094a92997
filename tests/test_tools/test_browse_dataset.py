"""tools/browse_dataset.py: what it draws are the targets."""

import json
import re
import runpy
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.helpers.own_coco import FAULTS, make_folder
from tests.helpers.scenes import make_coco_folder
from tests.helpers.tiny import ROOT
from visionllm_mm.miniscenes import DatasetArguments, write_dataset

TOOL = ROOT / 'tools/browse_dataset.py'


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(TOOL.parent))
    monkeypatch.chdir(tmp_path)

    def run(*arguments) -> list[str]:
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *arguments])
        runpy.run_path(str(TOOL), run_name='__main__')
        return capsys.readouterr().out.splitlines()

    return run


def test_a_picture_per_task(run, tmp_path, monkeypatch):
    write_dataset(tmp_path / 'data', DatasetArguments(num_train=3, num_val=1, seed=0))
    monkeypatch.setenv('MINISCENES_ROOT', str(tmp_path / 'data'))
    config = str(ROOT / 'configs/visionllm/visionllm-tiny_miniscenes-multitask.py')
    lines = run(config, '--number', '7', '--out-dir', 'out')
    shown = [line for line in lines if re.match(r'\d{3}\.png: ', line)]
    assert len(shown) == 7 and lines[-1] == 'the pictures are in out'
    for i in range(7):
        picture = np.asarray(Image.open(tmp_path / f'out/{i:03d}.png'))
        assert picture.shape[1] == 512 and picture.shape[0] > 560  # text below 512 px of image
    # What is random is the same again.
    assert [line for line in run(config, '--number', '7', '--out-dir', 'again') if '.png: ' in line] == shown


def test_what_can_not_be_drawn_is_named(run, tmp_path, monkeypatch):
    data = make_coco_folder(tmp_path / 'coco', 2, 2)
    monkeypatch.setenv('DATA_ROOT', str(data))
    picture = (data / 'train/1.png').read_bytes()
    (data / 'train/1.png').write_bytes(picture[:-500])
    with pytest.raises(SystemExit, match='sample 0 can not be read: '):
        run(str(ROOT / 'configs/visionllm/visionllm-tiny_custom-coco.py'), '--out-dir', 'out')
    for path in (data / 'train').iterdir():
        path.write_bytes(b'no picture')
    with pytest.raises(
        SystemExit, match='train.json: none of its 2 images can be used: 2 images whose file is no pict'
    ):
        run(str(ROOT / 'configs/visionllm/visionllm-tiny_custom-coco.py'), '--out-dir', 'out')
    for path in (data / 'train').iterdir():
        cv2.imwrite(str(path), np.zeros((2000, 1, 3), np.uint8))
    with pytest.raises(SystemExit, match='none of its 2 images can be used: 2 images of another size than the file'):
        run(str(ROOT / 'configs/visionllm/visionllm-tiny_custom-coco.py'), '--out-dir', 'out')
    with pytest.raises(SystemExit, match='is no config of a VisionLLM'):
        run(str(ROOT / 'configs/baselines/deformable-detr_r18_custom-coco.py'), '--out-dir', 'out')


def test_target_tokens_are_those_of_the_objects(run, tmp_path, monkeypatch):
    write_dataset(tmp_path / 'data', DatasetArguments(num_train=3, num_val=1, seed=0))
    monkeypatch.setenv('MINISCENES_ROOT', str(tmp_path / 'data'))
    monkeypatch.syspath_prepend(str(TOOL.parent))
    from mmdet.registry import DATASETS
    from mmengine.config import Config
    from mmengine.registry import init_default_scope

    from visionllm_mm.instructions import Vocabulary

    answers = runpy.run_path(str(TOOL))['answers']
    cfg = Config.fromfile(ROOT / 'configs/visionllm/visionllm-tiny_miniscenes-det.py')
    init_default_scope('mmdet')
    vocabulary = Vocabulary(**cfg.model.vocabulary)
    for item in DATASETS.build(cfg.train_dataloader.dataset):
        sample = item['data_samples']
        boxes = np.asarray(getattr(sample.gt_instances.bboxes, 'tensor', sample.gt_instances.bboxes))
        labels = sample.gt_instances.labels.numpy()
        names, points, tokens = answers(sample, vocabulary)
        kept = labels >= 0
        assert names == [sample.class_names[label] for label in labels[kept]]
        np.testing.assert_allclose(np.reshape(points, (-1, 4)), boxes[kept], atol=1.01)  # half a bin: 1 px
        assert [said.split()[0] for said in tokens] == [f'<c{label}>' for label in labels[kept]]


def test_bad_number(run, capsys):
    with pytest.raises(SystemExit):
        run(str(ROOT / 'configs/visionllm/visionllm-tiny_miniscenes-det.py'), '--number', '0')
    assert '--number must be at least 1, got 0' in capsys.readouterr().err


def test_other_class_names_in_the_validation_file_are_named(run, tmp_path, monkeypatch):
    data = make_coco_folder(tmp_path / 'coco', 2, 2)
    content = json.loads((data / 'val.json').read_text())
    content['categories'][1]['name'] = 'blue disc'
    (data / 'val.json').write_text(json.dumps(content))
    monkeypatch.setenv('DATA_ROOT', str(data))
    with pytest.raises(SystemExit, match=r"val.json: \['blue disk'\] are not in it"):
        run(str(ROOT / 'configs/visionllm/visionllm-tiny_finetune-coco.py'))
    monkeypatch.setenv('DATA_ROOT', str(tmp_path / 'none'))
    with pytest.raises(SystemExit, match='annotation file .*none/train.json does not exist: DATA_ROOT must name'):
        run(str(ROOT / 'configs/visionllm/visionllm-tiny_finetune-coco.py'))


def test_the_report_of_own_data_comes_first_and_unknown_outlines_are_drawn(run, tmp_path, monkeypatch):
    data = make_folder(tmp_path / 'own')
    content = json.loads((data / 'train.json').read_text())
    content['annotations'][0]['segmentation'] = []
    content['annotations'][5]['category_id'] = 8
    (data / 'train.json').write_text(json.dumps(content))
    monkeypatch.setenv('DATA_ROOT', str(data))
    lines = run(str(ROOT / 'configs/visionllm/visionllm-tiny_finetune-coco-insseg.py'), '--out-dir', 'out')
    assert lines[0] == f'{data}/train.json: 4 images, 5 boxes used; left out: 1 annotation of an unknown category'
    assert any(line.startswith(f'{data}/val.json: 3 images, 4 boxes used') for line in lines)
    assert len(list((tmp_path / 'out').iterdir())) == 4


def test_bad_own_data_are_refused_in_one_line(run, tmp_path, monkeypatch):
    for split in ('train', 'val'):
        data = next(fault for fault in FAULTS if fault.name == 'relative boxes').make(tmp_path / split, split)
        monkeypatch.setenv('DATA_ROOT', str(data))
        with pytest.raises(SystemExit, match=f'^browse_dataset.py: .*{split}.json: the . boxes have relative co'):
            run(str(ROOT / 'configs/visionllm/visionllm-tiny_custom-coco.py'))
