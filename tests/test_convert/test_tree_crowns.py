"""Photographs of trees as a COCO folder: tiles and the boxes in them; written whole, or refused."""

import hashlib
import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from visionllm_mm.convert import tree_crowns
from visionllm_mm.convert.tree_crowns import cut, write_tree_crowns
from visionllm_mm.convert.wheels import Wheel


def test_boxes_stand_in_the_tiles_that_show_enough_of_them():
    boxes = np.array([[10, 20, 40, 60], [246, 0, 266, 10], [250, 100, 270, 110], [290, 250, 300, 262]])
    tiles = {tile.box: tile.bboxes.tolist() for tile in cut(320, 310, boxes)}
    # The lowest row, 54 px, is narrower than 64.
    assert tiles == {
        # Half of the second box, 6 of 20 px of the third.
        (0, 0, 256, 256): [[10, 20, 30, 40], [246, 0, 10, 10], [250, 100, 6, 10]],
        (256, 0, 320, 256): [[0, 0, 10, 10], [0, 100, 14, 10], [34, 250, 10, 6]],
    }


def test_a_box_with_too_little_in_a_tile_is_not_annotated_there():
    (first, second) = cut(512, 256, np.array([[251, 0, 271, 10]]))
    assert first.bboxes.shape == (0, 4)
    assert second.bboxes.tolist() == [[0, 0, 15, 10]]


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A wheel with two small photographs of one tree each."""
    picture = io.BytesIO()
    Image.fromarray(np.full((70, 80, 3), 90, np.uint8)).save(picture, 'PNG')
    box = '<bndbox><xmin>3</xmin><ymin>4</ymin><xmax>13</xmax><ymax>24</ymax></bndbox>'
    path = tmp_path / 'deepforest-2.1.0-py3-none-any.whl'
    with zipfile.ZipFile(path, 'w') as archive:
        for name in tree_crowns.PHOTOGRAPHS.values():
            archive.writestr(f'{name}.png', picture.getvalue())
            archive.writestr(f'{name}.xml', f'<annotation><object><name>Tree</name>{box}</object></annotation>')
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(tree_crowns, 'WHEEL', Wheel('deepforest', '2.1.0', digest))
    return path


def test_folder_in_coco_format(tmp_path, wheel):
    out = tmp_path / 'made/trees'
    assert write_tree_crowns(out, str(wheel)) == dict(train=(1, 1), val=(1, 1))
    content = json.loads((out / 'val.json').read_text())
    assert content['images'] == [dict(id=1, file_name='val_001.jpg', width=80, height=70)]
    assert content['annotations'][0]['bbox'] == [3, 4, 10, 20]
    assert content['categories'] == [dict(id=1, name='tree crown')]
    with Image.open(out / 'val/val_001.jpg') as picture:
        assert picture.size == (80, 70)
    assert [path.name for path in out.parent.iterdir()] == ['trees']


def test_nothing_is_written_over_or_left_behind(tmp_path, wheel):
    out = tmp_path / 'made/trees'
    with pytest.raises(FileNotFoundError, match='does not exist'):
        write_tree_crowns(out, str(tmp_path / 'other.whl'))
    wheel.write_bytes(b'another file')
    with pytest.raises(ValueError, match=r'not the file of deepforest 2\.1\.0'):
        write_tree_crowns(out, str(wheel))
    assert list(out.parent.iterdir()) == []
    out.mkdir()
    with pytest.raises(FileExistsError, match='delete it, or write to another folder'):
        write_tree_crowns(out, str(wheel))
