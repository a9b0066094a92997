"""Class names of an annotation file."""

import json

import pytest
from mmdet.datasets import CocoDataset

from visionllm_mm.datasets import epochs_for, read_class_names


def _write(path, categories):
    path.write_text(
        json.dumps(
            dict(
                images=[dict(id=1, file_name='a.png', width=9, height=9)],
                categories=categories,
                annotations=[
                    dict(id=i + 1, image_id=1, category_id=c['id'], area=4, iscrowd=0, bbox=[1, 1, 2, 2])
                    for i, c in enumerate(categories)
                ],
            )
        )
    )
    return path


def test_label_of_a_class_is_its_place_among_the_names(tmp_path):
    """mmdet numbers the classes of a data set as the file lists them, not by id or alphabet."""
    path = _write(tmp_path / 'train.json', [dict(id=9, name='zebra'), dict(id=2, name='ant'), dict(id=5, name='Größe')])
    names = read_class_names(path)
    assert names == ('zebra', 'ant', 'Größe')
    dataset = CocoDataset(
        ann_file=str(path), data_prefix=dict(img=''), metainfo=dict(classes=names), pipeline=[], serialize_data=False
    )
    labels = [instance['bbox_label'] for instance in dataset.get_data_info(0)['instances']]
    assert [names[label] for label in labels] == ['zebra', 'ant', 'Größe']


@pytest.mark.parametrize(
    'content, message',
    [
        ('', 'is empty'),
        ('{', 'is no JSON'),
        ('[]', 'no COCO-format annotation file: at its top is a list'),
        ('{"images": []}', 'lacks "annotations" and "categories"'),
        ('{"categories": []}', 'lists no categories'),
        ('{"categories": [{"id": 1}]}', r'1 category without a usable name \(category 1: name None'),
        ('{"categories": [{"id": 1, "name": 7}]}', 'category 1: name 7; names must be strings'),
        ('{"categories": [{"id": 1, "name": ["a"]}]}', r"category 1: name \['a'\]; names must be strings"),
        ('{"categories": [{"id": 1, "name": "<c0>"}]}', "category 1: name '<c0>'; names must not hold"),
        (
            '{"categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}], '
            '"annotations": [{"category_id": 1}, {"category_id": 2}]}',
            r"listed twice, each with objects \('a': ids 1, 2\). Merge",
        ),
    ],
)
def test_bad_files_are_named(tmp_path, content, message):
    path = tmp_path / 'bad.json'
    path.write_text(content)
    with pytest.raises(ValueError, match=f'bad.json.*{message}'):
        read_class_names(str(path))


def test_missing_file_says_what_is_expected(tmp_path):
    with pytest.raises(FileNotFoundError, match='does not exist: DATA_ROOT must name a folder with train.json'):
        read_class_names(tmp_path / 'none.json')
    with pytest.raises(ValueError, match=f'{tmp_path} is a folder: name a JSON file'):
        read_class_names(tmp_path)


def test_names_of_files_in_any_encoding(tmp_path):
    path = _write(tmp_path / 'train.json', [dict(id=1, name='Größe')])
    text = path.read_text().replace('\\u00f6', 'ö').replace('\\u00df', 'ß')
    for encoding in ('utf-8', 'utf-8-sig', 'utf-16'):
        path.write_bytes(text.encode(encoding))
        assert read_class_names(path) == ('Größe',)
    path.write_bytes(text.encode('latin-1'))
    with pytest.raises(ValueError, match='train.json is not UTF-8: byte 0xf6 at position'):
        read_class_names(path)


def test_the_name_of_a_project_without_objects_is_no_class(tmp_path):
    path = tmp_path / 'train.json'
    categories = [dict(id=0, name='trees'), dict(id=1, name='birch'), dict(id=2, name='trees')]
    path.write_text(json.dumps(dict(categories=categories, annotations=[dict(category_id=2)])))
    assert read_class_names(path) == ('birch', 'trees')


@pytest.mark.parametrize('count, expected', [(1, 40), (2, 60)])
def test_epochs_make_up_a_training_of_one_length_which_is_longer_for_several_classes(tmp_path, count, expected):
    path = _write(tmp_path / 'train.json', [dict(id=i, name=name) for i, name in enumerate(['ant', 'bee'][:count])])
    assert epochs_for(path, 40, 60, fewest=1, most=320) == expected
    assert epochs_for(path, 40, 60, fewest=70, most=320) == 70
    assert epochs_for(path, 40, 60, fewest=1, most=30) == 30
