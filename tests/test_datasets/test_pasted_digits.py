"""The helper that pastes handwritten digits on photographs: its annotations fit its pictures."""

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from tests.helpers.pasted_digits import NAMES, PHOTOGRAPHS, write_split
from visionllm_mm.datasets.own_coco.check import check_file


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('digits')
    for split in ('train', 'val'):
        write_split(folder, split, count=6, seed=0)
    return folder


@pytest.mark.parametrize('split', ['train', 'val'])
def test_the_check_of_own_data_finds_no_fault(folder, split):
    report = check_file(folder / f'{split}.json', folder / split, with_masks=True, decode=True).report
    assert report.num_images == 6 and report.num_boxes >= 6 and not report.findings


def test_digits_differ_from_their_photograph(folder):
    content = json.loads((folder / 'val.json').read_text())
    assert [category['name'] for category in content['categories']] == list(NAMES)
    files = {image['id']: folder / 'val' / image['file_name'] for image in content['images']}
    for annotation in content['annotations']:
        x, y, w, h = (int(value) for value in annotation['bbox'])
        gray = np.asarray(Image.open(files[annotation['image_id']]).convert('L'), dtype=float)[y : y + h, x : x + w]
        ink = coco_mask.decode(annotation['segmentation'])[y : y + h, x : x + w] > 0
        assert abs(gray[ink].mean() - gray[~ink].mean()) > 5, annotation


def test_training_and_validation_share_no_photograph():
    assert not set(PHOTOGRAPHS['train']) & set(PHOTOGRAPHS['val'])
