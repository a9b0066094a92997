"""tools/check_dataset.py: no fault is accepted in silence, and training sees what it reports."""

import json
import runpy
import sys

import pytest
from mmdet.registry import DATASETS
from mmengine.registry import init_default_scope
from PIL import Image

from tests.helpers.own_coco import DAMAGED, FAULTS, make_folder
from tests.helpers.tiny import ROOT

TOOL = ROOT / 'tools/check_dataset.py'


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs the tool in an empty folder; returns its exit status and the lines that it prints."""
    monkeypatch.syspath_prepend(str(TOOL.parent))
    monkeypatch.chdir(tmp_path)

    def run(*arguments) -> tuple[int, list[str]]:
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
        status = 0
        try:
            runpy.run_path(str(TOOL), run_name='__main__')
        except SystemExit as error:
            assert isinstance(error.code, str) and error.code.startswith('check_dataset.py: ')
            status = 1
        return status, capsys.readouterr().out.splitlines()

    return run


def _dataset(data, split, polygons):
    init_default_scope('mmdet')
    return DATASETS.build(
        dict(
            type='OwnCocoDataset',
            ann_file=str(data / f'{split}.json'),
            data_prefix=dict(img=str(data / split)),
            metainfo=dict(classes=('box', 'blue disk')),
            pipeline=[dict(type='LoadKnownMasks', with_bbox=True, with_mask=polygons)],
            serialize_data=False,
        )
    )


def test_sound_data_are_used_whole(run, tmp_path):
    data = make_folder(tmp_path / 'own')
    status, lines = run(data, '--polygons')
    assert status == 0
    assert lines[0] == f'{data}/train.json: 4 images, 6 boxes used'
    assert [line for line in lines if 'left out' in line or 'error' in line] == []
    assert not (tmp_path / 'work_dirs').exists()


@pytest.mark.parametrize('fault', FAULTS, ids=lambda fault: fault.name)
def test_no_fault_is_accepted_in_silence(run, tmp_path, fault):
    split = 'val' if FAULTS.index(fault) % 3 == 2 else 'train'
    data = fault.make(tmp_path / 'own', 'train')
    if split == 'val':
        for name in ('train', 'train.json'):
            (data / name).rename(data / f'{name}.new')
        for old, new in (
            ('val', 'train'),
            ('val.json', 'train.json'),
            ('train.new', 'val'),
            ('train.json.new', 'val.json'),
        ):
            (data / old).rename(data / new)
    status, lines = run(data, *(['--polygons'] if fault.polygons else []))
    own = lines[next(i for i, line in enumerate(lines) if line.startswith(f'{data}/{split}.json: ')) :]
    assert any(line.startswith(f'  {fault.level}: ') and fault.text in line for line in own), lines
    assert status == (fault.level == 'error')
    if fault.level == 'error':
        with pytest.raises(ValueError, match=f'{split}.json: ') as raised:
            _dataset(data, split, fault.polygons)
        assert '\n' not in str(raised.value)
    else:
        dataset = _dataset(data, split, fault.polygons)
        assert any(fault.text in line for line in dataset.report.lines())
        assert len(dataset) == dataset.report.num_images
        instances = [len(dataset.get_data_info(i)['instances']) for i in range(len(dataset))]
        # mmdet drops nothing beyond what is reported.
        assert sum(instances) == dataset.report.num_boxes + (fault.name == 'crowd')


def test_pictures_are_decoded_and_doubtful_ones_drawn(run, tmp_path):
    data = DAMAGED.make(tmp_path / 'own')
    content = json.loads((data / 'train.json').read_text())
    content['annotations'][2]['bbox'] = [5, 5, -3, 9]
    (data / 'train.json').write_text(json.dumps(content))
    status, lines = run(data)
    assert status == 1 and any(DAMAGED.text in line and '1.png' in line for line in lines)
    status, lines = run(data, '--headers-only', '--out-dir', 'drawn')
    assert status == 0
    assert '  1 of 1 pictures with doubtful annotations are drawn in drawn/train' in lines
    [drawn] = (tmp_path / 'drawn').rglob('*.png')
    assert drawn == tmp_path / 'drawn/train/2.png.png' and Image.open(drawn).height > 64


def test_missing_parts_are_named(run, tmp_path):
    data = make_folder(tmp_path / 'own')
    (data / 'val.json').rename(data / 'val' / '_annotations.coco.json')
    status, lines = run(data)
    assert status == 1 and 'There are train.json, val/_annotations.coco.json: copy or link them' in lines[-1]
    (data / 'val' / '_annotations.coco.json').rename(data / 'val.json')
    (data / 'val').rename(data / 'valid')
    status, lines = run(data)
    assert status == 1 and f'the folder of its pictures is missing: {data}/val' in lines[-1]


@pytest.mark.parametrize('name, text', [('none', 'does not exist'), ('file', 'is no folder')])
def test_another_root_is_named(tmp_path, run, monkeypatch, name, text):
    (tmp_path / 'file').write_text('')
    monkeypatch.setattr(sys, 'argv', [str(TOOL), str(tmp_path / name)])
    with pytest.raises(SystemExit, match=f'^check_dataset.py: .*{name} {text}: DATA_ROOT must hold train.json'):
        runpy.run_path(str(TOOL), run_name='__main__')


@pytest.mark.parametrize('name', ['n' * 251 + '.png', '../../outside.png', 'a/b.png'])
def test_pictures_are_drawn_below_the_folder_whatever_their_names(run, tmp_path, name):
    data = make_folder(tmp_path / 'some/own')
    content = json.loads((data / 'train.json').read_text())
    path = data / 'train' / name
    path.parent.mkdir(exist_ok=True)
    (data / 'train' / content['images'][0]['file_name']).rename(path)
    content['images'][0]['file_name'] = name
    first = next(each for each in content['annotations'] if each['image_id'] == content['images'][0]['id'])
    first['bbox'] = [5, 5, -3, 9]
    (data / 'train.json').write_text(json.dumps(content))
    status, _ = run(data, '--out-dir', 'drawn/below')
    assert status == 0
    (drawn,) = (tmp_path / 'drawn').rglob('*.png')
    assert drawn.is_relative_to(tmp_path / 'drawn/below/train') and drawn.name.endswith(path.name[-9:] + '.png')


def test_paths_of_folders(run, tmp_path, monkeypatch):
    make_folder(tmp_path / 'own')
    monkeypatch.setenv('HOME', str(tmp_path))
    for text in ('~/own', ' own', 'own/'):
        assert run(text, '--headers-only')[0] == 0
    assert run('n' * 300)[0] == run('none')[0] == run('own', '--out-dir', 'own/val.json')[0] == 1
