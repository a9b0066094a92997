"""Captions in the files of COCO and of Karpathy."""

import json

import pytest

from visionllm_mm.datasets import CaptionDataset

COCO = dict(
    images=[dict(id=3, file_name='a.png'), dict(id=4, file_name='b.png'), dict(id=5, file_name='c.png')],
    annotations=[
        dict(id=1, image_id=4, caption='two rings '),
        dict(id=2, image_id=3, caption='a star'),
        dict(id=3, image_id=4, caption=' '),
        dict(id=4, image_id=5, caption=''),
        dict(id=5, image_id=5, caption=None),
        dict(id=6, image_id=5),
    ],
)
KARPATHY = dict(
    images=[
        dict(filepath='val2014', filename='a.jpg', imgid=0, cocoid=77, split='test', sentences=[dict(raw='A star.')]),
        dict(
            filepath='train2014', filename='b.jpg', imgid=1, cocoid=78, split='train', sentences=[dict(raw='A ring.')]
        ),
        dict(
            filepath='val2014', filename='c.jpg', imgid=2, cocoid=79, split='restval', sentences=[dict(raw='Two.'), {}]
        ),
    ]
)


def _samples(tmp_path, content, **kwargs):
    (tmp_path / 'captions.json').write_text(json.dumps(content))
    dataset = CaptionDataset(
        ann_file='captions.json', data_root=str(tmp_path), data_prefix=dict(img='images/'), **kwargs
    )
    return [dataset.get_data_info(i) for i in range(len(dataset))]


def test_file_of_coco(tmp_path):
    first, second = _samples(tmp_path, COCO)  # the third image has no caption
    assert (first['img_id'], first['gt_caption']) == (3, ['a star'])
    assert (second['img_id'], second['gt_caption']) == (4, ['two rings'])
    assert second['img_path'] == str(tmp_path / 'images/b.png')


def test_file_of_karpathy(tmp_path):
    samples = _samples(tmp_path, KARPATHY, splits=('train', 'restval'))
    assert [s['img_id'] for s in samples] == [78, 79]
    assert samples[1]['img_path'] == str(tmp_path / 'images/val2014/c.jpg') and samples[1]['gt_caption'] == ['Two.']
    assert len(_samples(tmp_path, KARPATHY)) == 3


@pytest.mark.parametrize(
    'content, kwargs, message',
    [
        ([1, 2], {}, 'neither a caption file'),
        (dict(images=[]), {}, 'neither a caption file'),
        (dict(images=[dict(id=1, file_name='a.png')]), {}, 'take the file of captions'),
        (COCO, dict(splits=('train',)), "are Karpathy's, but"),
        (KARPATHY, dict(splits=('nothing',)), 'no image with'),
    ],
)
def test_other_files_are_errors(tmp_path, content, kwargs, message):
    with pytest.raises(ValueError, match=message):
        _samples(tmp_path, content, **kwargs)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='nothing.json'):
        CaptionDataset(ann_file=str(tmp_path / 'nothing.json'))
