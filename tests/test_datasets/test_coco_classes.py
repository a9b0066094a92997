"""Class names of an annotation file."""

import json

import pytest
from mmdet.datasets import CocoDataset

from visionllm_mm.datasets import read_class_names


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
        ('', 'no COCO-format annotation file: JSONDecodeError'),
        ('[]', 'no COCO-format.*TypeError'),
        ('{"categories": [{"id": 1}]}', "no COCO-format.*KeyError: 'name'"),
        ('{"images": []}', 'categories'),
        ('{"categories": []}', 'lists no categories'),
        ('{"categories": [{"name": "a"}, {"name": "b"}, {"name": "a"}]}', r"twice: \['a'\]"),
    ],
)
def test_bad_files_are_named(tmp_path, content, message):
    path = tmp_path / 'bad.json'
    path.write_text(content)
    with pytest.raises(ValueError, match=f'bad.json.*{message}'):
        read_class_names(str(path))


@pytest.mark.parametrize('path', ['none.json', ''])
def test_missing_file_says_what_is_expected(tmp_path, path):
    with pytest.raises(FileNotFoundError, match='does not exist: DATA_ROOT must name a folder with train.json'):
        read_class_names(tmp_path / path)
