"""Added tokens: ids and round trips for vocabularies of any size."""

import numpy as np
import pytest

from visionllm_mm.instructions import Vocabulary, point_format

SIZES = [
    dict(num_classes=1, coord_range=1, max_points=1),
    dict(num_classes=64, coord_range=64, max_points=24),
    dict(num_classes=512, coord_range=512, max_points=24),
]


@pytest.mark.parametrize('sizes', SIZES)
def test_ids_are_dense_and_in_the_documented_order(sizes):
    vocabulary, r = Vocabulary(**sizes), sizes['coord_range']
    tokens = [f'<c{i}>' for i in range(sizes['num_classes'])] + ['<none>'] + [f'<p{i}>' for i in range(-r, r + 1)]
    tokens += ['<cls>', *(f'<{axis}{i}>' for i in range(1, sizes['max_points'] + 1) for axis in 'xy')]
    assert [vocabulary.token_id(token) for token in tokens] == list(range(vocabulary.size))
    assert vocabulary.none_id == vocabulary.token_id('<none>')
    assert vocabulary.location_start == vocabulary.token_id(f'<p-{r}>')
    assert vocabulary.num_bins == 2 * r + 1


@pytest.mark.parametrize('sizes', SIZES)
def test_every_bin_round_trips_exactly(sizes):
    vocabulary = Vocabulary(**sizes)
    bins = np.arange(vocabulary.num_bins)
    offsets = vocabulary.decode_offsets(bins)
    assert offsets[0] == -1 and offsets[-1] == 1 and (np.diff(offsets) > 0).all()
    np.testing.assert_array_equal(vocabulary.encode_offsets(offsets), bins)


def test_offset_of_a_bin_is_that_of_its_token():
    """``<pi>`` stands for i / R, and bin b is token ``location_start + b``."""
    vocabulary = Vocabulary(num_classes=3, coord_range=8, max_points=2)
    for i in (-8, -3, 0, 5, 8):
        assert vocabulary.token_id(f'<p{i}>') == vocabulary.location_start + vocabulary.encode_offsets(np.array(i / 8))


def test_encoding_keeps_shape_and_clamps():
    bins = Vocabulary(coord_range=4).encode_offsets(np.array([[[-9.0, -1.0]], [[0.0, 1.5]]]))
    assert bins.tolist() == [[[0, 0]], [[4, 8]]] and bins.dtype == np.int64
    assert Vocabulary(coord_range=4).encode_offsets(np.zeros((0, 2))).shape == (0, 2)


@pytest.mark.parametrize('num_points', [1, 2, 8, 24])
def test_formats_of_points(num_points):
    tokens = point_format(num_points)
    ids = Vocabulary().format_ids(tokens)
    assert len(tokens) == len(set(ids)) == 1 + 2 * num_points
    assert tokens[:3] == ('<cls>', '<x1>', '<y1>') and tokens[-1] == f'<y{num_points}>'
    assert ids == Vocabulary().format_ids(point_format(24))[: len(ids)]


def test_formats_that_can_not_be():
    with pytest.raises(ValueError, match='at least one point, got 0'):
        point_format(0)
    with pytest.raises(ValueError, match="'<x3>' is not in the vocabulary.*<x2> <y2>"):
        Vocabulary(max_points=2).format_ids(point_format(3))


@pytest.mark.parametrize('name', ['num_classes', 'coord_range', 'max_points'])
def test_sizes_must_be_positive(name):
    with pytest.raises(ValueError, match=f'{name} must be at least 1, got 0'):
        Vocabulary(**{name: 0})


def test_class_tokens_have_an_end():
    assert Vocabulary(num_classes=4).token_id('<c3>') == 3
    for index in (4, -1):
        with pytest.raises(ValueError, match=f"'<c{index}>' is not in the vocabulary, which has <c0> .. <c3>"):
            Vocabulary(num_classes=4).token_id(f'<c{index}>')


def test_equal_vocabularies_share_parsed_instructions():
    assert Vocabulary(num_classes=4) == Vocabulary(num_classes=4) != Vocabulary(num_classes=5)
    assert hash(Vocabulary(num_classes=4)) == hash(Vocabulary(num_classes=4))
