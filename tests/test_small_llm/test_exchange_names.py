"""Things with other names in all texts of a sample."""

import numpy as np
import pytest

from visionllm_mm.small_llm import ExchangeNames

GROUP = (('red', 'star', 'stars'), ('green', 'heart', 'hearts'), ('blue', 'ring', 'rings'))


def _texts():
    return dict(
        question='Is the red heart left of the stars?',
        history=('yes', 'What shape is it?'),
        gt_caption=['star'],
        object_names=['red heart', 'blue star'],
    )


def test_names_take_each_others_places_in_all_texts():
    np.random.seed(0)
    transform, seen = ExchangeNames(GROUP), set()
    colors, shapes = ({words[i]: words for words in GROUP} for i in (0, 1))
    for _ in range(60):
        result = transform(_texts())
        first, second = (name.split() for name in result['object_names'])
        assert result['question'] == f'Is the {first[0]} {first[1]} left of the {shapes[second[1]][2]}?'
        assert result['gt_caption'] == [second[1]] and result['history'] == ('yes', 'What shape is it?')
        # A color goes with its shape: 'red heart' is of one group's color and another's shape, and stays so.
        assert colors[first[0]] != shapes[first[1]]
        seen.add(tuple(result['object_names']))
    assert len(seen) == 6


def test_images_keep_their_names():
    with pytest.raises(ValueError, match='a.png is loaded'):
        ExchangeNames(GROUP)(_texts() | dict(img=np.zeros((4, 4, 3)), img_path='a.png'))
    with pytest.raises(ValueError, match='the same number of words'):
        ExchangeNames([('red', 'star'), ('green',)])
