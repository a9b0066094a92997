"""What a call is given: images in order, named, and what can't be read left out where that is wanted."""

import numpy as np
import pytest

from tests.helpers.picture_files import PICTURES, write_video
from visionllm_mm.apis.images import Video
from visionllm_mm.apis.inputs import NamedImages, read_inputs
from visionllm_mm.image_files import ImageFileError

ENOUGH = 10_000


@pytest.fixture
def folder(tmp_path):
    for name, data in (('b.jpg', PICTURES['jpeg']), ('a.PNG', PICTURES['png']), ('c.jpg', PICTURES['jpeg'][:-9])):
        (tmp_path / name).write_bytes(data)
    (tmp_path / 'notes.txt').write_text('no picture')
    return tmp_path


def test_the_first_bad_image_is_an_error_or_is_left_out(folder):
    with pytest.raises(ImageFileError, match='c.jpg is truncated'):
        read_inputs(folder, ENOUGH)
    array, skipped = np.zeros((4, 4, 3), np.uint8), []
    assert read_inputs(str(folder), ENOUGH, skipped) == [f'{folder}/a.PNG', f'{folder}/b.jpg']
    inputs = [folder / 'no.png', array, folder / 'b.jpg', np.zeros((200, 200, 3), np.uint8)]
    path, kept = read_inputs(inputs, ENOUGH, skipped)[::-1]
    assert path == str(folder / 'b.jpg') and kept is array
    assert [entry['img_path'] for entry in skipped] == [str(folder / 'c.jpg'), str(folder / 'no.png'), None]
    assert 'truncated' in skipped[0]['reason'] and '200 x 200 are more than' in skipped[2]['reason']


def test_videos(folder):
    write_video(folder / 'd.avi', 2)
    assert isinstance(read_inputs(folder / 'd.avi', ENOUGH), Video)
    skipped = []
    assert read_inputs(folder / 'e.avi', ENOUGH, skipped) == []
    assert skipped == [dict(img_path=f'{folder}/e.avi', reason=f'no video {folder}/e.avi')]
    assert read_inputs([folder / 'd.avi', folder / 'b.jpg'], ENOUGH, skipped) == [f'{folder}/b.jpg']


def test_requests_that_no_image_can_answer_are_errors_all_the_same(folder):
    for inputs, error in (([], ValueError), (3, TypeError), (np.zeros((4, 4)), ValueError)):
        with pytest.raises(error):
            read_inputs(inputs, ENOUGH, skipped=[])


def test_names(folder):
    array = np.zeros((4, 4, 3), np.uint8)
    images = NamedImages(['x/1.png', array, dict(img_path='y/1.png', text='a'), 'x/1.png'], dict(instruction='b'))
    items, names = zip(*images, strict=True)
    assert names == (('x/1.png', 'x/1'), None, ('y/1.png', 'y/1'), ('x/1.png', 'x/1')) and len(images) == 4
    assert items[0] == dict(instruction='b', img_path='x/1.png') and items[1]['img'] is array
    assert items[2] == dict(instruction='b', img_path='y/1.png', text='a')
