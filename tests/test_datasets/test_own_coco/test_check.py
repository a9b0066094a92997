"""Annotation files: exports are read whole; of anything else all entries are used, counted or refused."""

import json

import pytest
from mmengine.registry import init_default_scope

from tests.helpers.exports import BOXES, EXPORTS, NAMES, make_export
from tests.helpers.mutations import mutate
from tests.helpers.own_coco import make_folder
from visionllm_mm.datasets.own_coco import CheckedCoco, OwnCocoDataset, check_content, check_file, load_checked
from visionllm_mm.datasets.own_coco.report import LEFT_OUT


@pytest.mark.parametrize('with_masks', [False, True], ids=['boxes', 'polygons'])
@pytest.mark.parametrize('export', EXPORTS, ids=lambda export: export.__name__)
def test_exports_are_read_whole(tmp_path, export, with_masks):
    data = make_export(export, tmp_path)
    for split in ('train', 'val'):
        checked = check_file(data / f'{split}.json', data / split, with_masks=with_masks, decode=True)
        report = checked.report
        if with_masks and export.__name__ == 'cvat_boxes':
            assert [str(error) for error in report.errors] == [
                'none of its 3 objects has an outline. Write segmentation as polygons or RLE, or take a config of boxes'
            ]
            continue
        assert report.errors == report.of(LEFT_OUT) == [] and report.unused == []
        assert report.num_boxes == 3 and report.num_images == len(checked.content['images'])
        assert {category['name'] for category in checked.content['categories']} == set(NAMES)
        for annotation, box in zip(checked.content['annotations'], BOXES, strict=True):
            assert annotation['bbox'] == pytest.approx([*box], abs=0 if export.__name__ != 'via' else 0.5)
            assert annotation['iscrowd'] == 0
            assert not with_masks or 'unknown' not in annotation['segmentation']


def test_summary_is_one_line(tmp_path):
    data = make_folder(tmp_path)
    content = json.loads((data / 'train.json').read_text())
    content['annotations'][0]['bbox'][2] = 0
    content['annotations'][1]['category_id'] = 9
    content['annotations'][2]['category_id'] = 9
    content['categories'] += [dict(id=5, name='elm'), dict(id=6, name='ash')]
    report = check_content(content, 'train.json', data / 'train').report
    assert report.lines() == [
        'train.json: 4 images, 3 boxes used; left out: 2 annotations of an unknown category, 1 annotation with a box '
        'of zero size; 2 categories without an object: elm, ash',
        '  left out: 2 annotations of an unknown category (first: annotation 2: category_id 9). Add it to the file, or '
        'correct the id',
        f'  left out: 1 annotation with a box of zero size (annotation 1: bbox {content["annotations"][0]["bbox"]}, '
        'image 64 x 64). Boxes are [x, y, width, height] in px of the file',
        '  note: 2 images without an object: trained on and tested as empty (first: image 1: 1.png)',
    ]


def test_a_file_of_few_objects_beyond_the_border_is_no_file_of_corners(tmp_path):
    data = make_folder(tmp_path)
    content = json.loads((data / 'train.json').read_text())
    for annotation in content['annotations']:
        annotation['bbox'] = [30, 40, 36, 20]  # as corners it would fit
    report = check_content(content, 'train.json', data / 'train').report
    assert not report.errors and '6 annotations whose box reaches beyond' in '\n'.join(report.lines())


@pytest.mark.parametrize(
    'given, stands_for',
    [([7, 3], [7, 3]), (['7', '3'], [7, 3]), ([7.0, 3.0], [7, 3]), (['b', 'a'], [1, 2]), ([2**60, 3], [1, 2])],
)
def test_ids_are_numbers(tmp_path, given, stands_for):
    data = make_folder(tmp_path, 3)
    content = json.loads((data / 'train.json').read_text())
    content['images'] = content['images'][:2]
    content['annotations'] = content['annotations'][:4]
    for image, value in zip(content['images'], given, strict=True):
        image['id'] = value
    for annotation in content['annotations']:
        annotation['image_id'] = given[annotation['image_id'] - 1]
    found = check_content(content, 'train.json', data / 'train').content
    assert [image['id'] for image in found['images']] == stands_for
    assert [annotation['image_id'] for annotation in found['annotations']] == [
        *[stands_for[0]] * 2,
        *[stands_for[1]] * 2,
    ]
    assert [annotation['id'] for annotation in found['annotations']] == [1, 2, 3, 4]


def test_categories_in_another_order_are_read_by_name(tmp_path):
    data = make_folder(tmp_path)
    content = json.loads((data / 'val.json').read_text())
    content['categories'] = content['categories'][::-1]
    checked = check_content(content, 'val.json', data / 'val', classes=('elm', 'box', 'blue disk'))
    assert [category['name'] for category in checked.content['categories']] == ['elm', 'box', 'blue disk']
    assert [category['id'] for category in checked.content['categories']] == [3, 1, 2]
    assert 'another order than the classes: they are read by name' in '\n'.join(checked.report.lines())
    assert 'it lists no category for elm' in '\n'.join(checked.report.lines())


def test_misspelled_categories_are_refused(tmp_path):
    data = make_folder(tmp_path)
    content = json.loads((data / 'val.json').read_text())
    report = check_content(content, 'val.json', data / 'val', classes=('box', 'blue disc')).report
    assert "['blue disc'] are not in it, but its categories are ['box', 'blue disk']" in str(report.errors[0])


def test_categories_that_the_classes_do_not_name_are_counted(tmp_path):
    data = make_folder(tmp_path)
    content = json.loads((data / 'train.json').read_text())
    report = check_content(content, 'train.json', data / 'train', classes=('box',)).report
    assert not report.errors
    left_out = sum(finding.count for finding in report.of(LEFT_OUT))
    assert left_out == sum(a['category_id'] == 2 for a in content['annotations']) > 0


def test_names_that_are_hard_to_tell_apart_are_noted(tmp_path):
    data = make_folder(tmp_path)
    content = json.loads((data / 'train.json').read_text())
    content['categories'] += [dict(id=5, name='Box'), dict(id=6, name='boxes')]
    report = check_content(content, data / 'train.json', data / 'train').report
    notes = [str(note) for note in report.of('note')]
    assert (
        "2 pairs of class names that the model can hardly tell apart (first: 'box' and 'Box'). Rename or merge the "
        'categories' in notes
    )


def test_5000_classes(tmp_path):
    data = make_folder(tmp_path)
    content = json.loads((data / 'train.json').read_text())
    content['categories'] += [dict(id=i, name=f'kind {i}') for i in range(3, 5001)]
    report = check_content(content, 'train.json', data / 'train').report
    assert len(report.summary()) < 300 and '4998 categories without an object: kind 3, kind 4' in report.summary()


def test_names_of_several_lines_stay_in_one(tmp_path):
    data = make_folder(tmp_path)
    content = json.loads((data / 'train.json').read_text())
    content['categories'].append(dict(id=3, name='elm\nash'))
    report = check_content(content, 'train.json', data / 'train').report
    assert report.summary().endswith(r"1 category without an object: 'elm\nash'")


def test_an_unchanged_file_is_checked_once(tmp_path):
    data = make_folder(tmp_path)
    arguments = data / 'train.json', data / 'train'
    first = load_checked(*arguments)
    assert load_checked(*map(str, arguments)) is first
    (data / 'train.json').write_text((data / 'train.json').read_text() + ' ')
    second = load_checked(*arguments)
    assert second is not first and second.report.num_images == 4
    (data / 'train/1.png').write_bytes(b'')
    assert load_checked(*arguments).report.num_images == 3


def _check_mutations(tmp_path, seeds):
    """Every mutated file is refused with its name, or all its entries are used or counted as left out."""
    init_default_scope('mmdet')
    data = make_folder(tmp_path)
    sound = json.loads((data / 'train.json').read_text())
    file, refused = data / 'mutated.json', 0
    for seed in seeds:
        content = mutate(sound, seed)
        file.write_text(json.dumps(content))
        with_masks = seed % 2 == 0
        checked = check_file(file, data / 'train', with_masks=with_masks)
        report = checked.report
        assert all(len(line) < 700 and '\n' not in line for line in report.lines()), seed
        if report.errors:
            refused += 1
            with pytest.raises(ValueError, match='^.*mutated.json: .+'):
                load_checked(file, data / 'train', with_masks=with_masks)
            continue
        for kind in ('image', 'annotation'):
            left_out = sum(finding.count for finding in report.of(LEFT_OUT) if finding.kind == kind)
            assert len(checked.content[f'{kind}s']) + left_out == len(content[f'{kind}s']), seed
        CheckedCoco(checked.content)
        dataset = OwnCocoDataset(
            ann_file=str(file),
            data_prefix=dict(img=str(data / 'train')),
            metainfo=dict(classes=[category['name'] for category in checked.content['categories']]),
            pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadKnownMasks', with_mask=with_masks)],
            serialize_data=False,
        )
        samples = [dataset[i] for i in range(len(dataset))]
        assert sum(len(sample['instances']) for sample in samples) == len(checked.content['annotations']), seed
        assert not with_masks or all(mask.any() for sample in samples for mask in sample['gt_masks'].masks), seed
    return refused


def test_mutated_files(tmp_path):
    assert 10 < _check_mutations(tmp_path, range(60)) < 50


@pytest.mark.slow
def test_many_mutated_files(tmp_path):
    assert 100 < _check_mutations(tmp_path, range(1000, 1500)) < 400
