"""tools/remove_refcoco_images.py on a ten-image copy of the real layout."""

import json
import runpy

import pytest

from tests.helpers.real_layouts import EXPRESSIONS, LEAKS, make_real_layouts
from tests.helpers.tiny import ROOT


@pytest.fixture
def tool(monkeypatch):
    """Runs the tool's main with arguments."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    import remove_refcoco_images

    def run(*arguments):
        monkeypatch.setattr('sys.argv', ['remove_refcoco_images.py', *map(str, arguments)])
        remove_refcoco_images.main()

    return run


@pytest.fixture
def coco(tmp_path):
    return make_real_layouts(tmp_path / 'coco')


def _read(path):
    return json.loads(path.read_text())


def _numbers(content):
    return {int(image['file_name'][-16:-4]) for image in content['images']}


def test_images_of_the_test_splits_are_taken_out(tool, coco, capsys):
    tool('--data-root', coco)
    annotations = coco / 'annotations'
    before, after = (_read(annotations / f'instances_train2017{end}.json') for end in ('', '_norefcoco'))
    gone = [before['images'][i] for i in LEAKS]
    assert after['images'] == [image for image in before['images'] if image not in gone]
    assert after['annotations'] == [
        a for a in before['annotations'] if a['image_id'] not in {image['id'] for image in gone}
    ]
    assert after['annotations'] and len(after['annotations']) < len(before['annotations'])
    assert {k: after[k] for k in ('categories', 'info', 'licenses')} == {
        k: before[k] for k in ('categories', 'info', 'licenses')
    }
    report = capsys.readouterr().out
    assert report.startswith('5 images in the validation and test splits')
    assert 'instances_train2017_norefcoco.json: 5 of 10 entries of images and ' in report


def test_no_training_expression_is_about_a_tested_image(tool, coco):
    tool('--data-root', coco)
    folder = coco / 'annotations/mdetr_annotations'
    tested = set().union(
        *(
            _numbers(_read(folder / f'finetune_{name}_{split}.json'))
            for name, splits in EXPRESSIONS.items()
            for split in splits
            if split != 'train'
        )
    )
    assert len(tested) == len(LEAKS)
    for name in EXPRESSIONS:
        before, after = (_read(folder / f'finetune_{name}_train{end}.json') for end in ('', '_norefcoco'))
        assert _numbers(before) & tested and _numbers(after) == _numbers(before) - tested
        # Their own ids are not the images' numbers.
        assert {a['image_id'] for a in after['annotations']} == {image['id'] for image in after['images']}


def test_files_of_an_earlier_run_stay_without_force(tool, coco):
    target = coco / 'annotations/instances_train2017_norefcoco.json'
    target.write_text('mine')
    with pytest.raises(SystemExit, match='instances_train2017_norefcoco.json exist: --force'):
        tool('--data-root', coco)
    assert target.read_text() == 'mine'
    assert len(list(coco.rglob('*_norefcoco.json'))) == 1  # none of the others was written
    tool('--data-root', coco, '--force')
    assert len(_read(target)['images']) == 5 and len(list(coco.rglob('*_norefcoco.json'))) == 4


def test_other_files_can_be_named(tool, coco):
    tool(coco / 'annotations/instances_train2017.json', '--data-root', coco)
    assert [path.name for path in coco.rglob('*_norefcoco.json')] == ['instances_train2017_norefcoco.json']


def test_images_of_lvis_are_known_by_their_addresses(tool, coco):
    file = coco / 'lvis_v1/annotations/lvis_v1_train.json'
    tool(file, '--data-root', coco)
    before, after = _read(file), _read(file.with_name('lvis_v1_train_norefcoco.json'))
    assert after['images'] == [image for i, image in enumerate(before['images']) if i not in LEAKS]
    assert len(after['images']) == 5 and after['categories'] == before['categories']


@pytest.mark.parametrize(
    'name, source',
    [
        ('annotations/instances_train2017.json', 'cocodataset.org'),
        ('annotations/mdetr_annotations/finetune_refcocog_test.json', 'zenodo.org'),
    ],
)
def test_missing_files_are_named(tool, coco, name, source):
    (coco / name).unlink()
    with pytest.raises(SystemExit, match=f'{name} is missing: .*{source}'):
        tool('--data-root', coco)
    assert not list(coco.rglob('*_norefcoco.json'))


@pytest.mark.parametrize(
    'content, message',
    [
        ('{"images": [', 'JSONDecodeError'),
        ('[]', 'TypeError'),
        ('{"images": [{"file_name": "cat.jpg"}], "annotations": []}', "'cat.jpg' is not named as COCO's images are"),
        ('{"images": []}', "KeyError: 'annotations'"),
    ],
)
def test_other_forms_are_refused(tool, coco, content, message):
    path = coco / 'annotations/mdetr_annotations/finetune_refcoco_val.json'
    path.write_text(content)
    with pytest.raises(SystemExit, match=f'finetune_refcoco_val.json has no annotations of COCO.*{message}'):
        tool('--data-root', coco)


def test_an_interrupted_run_leaves_no_half_file(tool, coco, monkeypatch):
    def interrupted(content):
        raise KeyboardInterrupt

    monkeypatch.setattr('remove_refcoco_images.json.dumps', interrupted)
    before = sorted(coco.rglob('*'))
    with pytest.raises(KeyboardInterrupt):
        tool('--data-root', coco)
    assert sorted(coco.rglob('*')) == before


def test_the_folder_of_the_environment_is_read_as_configs_read_it(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    default_root = runpy.run_path(str(ROOT / 'tools/remove_refcoco_images.py'))['default_root']
    monkeypatch.setenv('COCO_ROOT', f" {tmp_path}/o'neil ")
    assert default_root() == tmp_path / "o'neil"
    monkeypatch.setenv('COCO_ROOT', '')
    with pytest.raises(SystemExit, match='remove_refcoco_images.py: .* COCO_ROOT is set, but empty'):
        default_root()
    monkeypatch.delenv('COCO_ROOT')
    assert str(default_root()) == 'data/coco'
