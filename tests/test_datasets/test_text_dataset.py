"""What is known of the objects of images with texts."""

import json

import pytest

from visionllm_mm.datasets import CaptionDataset, ConversationDataset

OBJECTS = dict(
    images=[dict(id=i, file_name=f'{name}.png', width=40, height=30) for i, name in enumerate('ab')],
    annotations=[
        dict(id=1, image_id=0, category_id=7, bbox=[1, 2, 10, 20], area=200, iscrowd=0),
        dict(id=2, image_id=0, category_id=3, bbox=[5, 5, 9, 9], area=81, iscrowd=1),
    ],
    categories=[dict(id=3, name='red star'), dict(id=7, name='blue ring')],
)


@pytest.fixture
def folder(tmp_path):
    captions = dict(images=OBJECTS['images'], annotations=[dict(id=i, image_id=i, caption='a ring') for i in range(2)])
    talk = [
        dict(
            image=f'{name}.png',
            conversations=[{'from': 'human', 'value': '<image> What?'}, {'from': 'gpt', 'value': 'a ring'}],
        )
        for name in 'ab'
    ]
    for name, content in dict(objects=OBJECTS, captions=captions, talk=talk).items():
        (tmp_path / f'{name}.json').write_text(json.dumps(content))
    return tmp_path


@pytest.mark.parametrize('kind, ann_file', [(CaptionDataset, 'captions.json'), (ConversationDataset, 'talk.json')])
def test_samples_have_the_objects_of_their_images(folder, kind, ann_file):
    objects = dict(ann_file='objects.json', metainfo=dict(classes=('red star', 'blue ring')))
    dataset = kind(ann_file=ann_file, data_root=str(folder), data_prefix=dict(img='images/'), objects=objects)
    first, second = dataset.get_data_info(0), dataset.get_data_info(1)
    assert first['object_names'] == second['object_names'] == ['red star', 'blue ring']
    assert [(o['bbox_label'], o['ignore_flag'], o['bbox']) for o in first['instances']] == [
        (1, 0, [1, 2, 11, 22]),
        (0, 1, [5, 5, 14, 14]),
    ]
    assert second['instances'] == []
    plain = kind(ann_file=ann_file, data_root=str(folder), data_prefix=dict(img='images/'))
    assert 'instances' not in plain.get_data_info(0)


def test_an_image_without_an_entry_is_named(folder):
    (folder / 'objects.json').write_text(json.dumps(OBJECTS | dict(images=OBJECTS['images'][:1])))
    with pytest.raises(ValueError, match=r'images/b.png is not in .*objects.json: give a file of objects with all'):
        CaptionDataset(
            ann_file='captions.json',
            data_root=str(folder),
            data_prefix=dict(img='images/'),
            objects=dict(ann_file='objects.json', metainfo=dict(classes=('red star', 'blue ring'))),
        )
