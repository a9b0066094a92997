"""Scrambled copies of instructions ask for other numbers of points where that is wanted."""

import numpy as np
import pytest

from visionllm_mm.datasets import ScrambleInstruction
from visionllm_mm.datasets.transforms import scramble
from visionllm_mm.instructions import Vocabulary, parse_instruction

TEXT = 'Please find {"star": <c0>, "ring": <c1>} in <image> as (c, x1, y1, x2, y2) within range 64.'


def _numbers_of_points(**kwargs):
    np.random.seed(0)
    transform = ScrambleInstruction(max_points=24, **kwargs)
    results = [transform(dict(instruction=TEXT)) for _ in range(400)]
    assert all(result['instruction'] == TEXT for result in results)
    vocabulary = Vocabulary(coord_range=64, num_classes=16, max_points=24)
    return [
        parse_instruction(result['scrambled_instruction'], vocabulary, scrambled=True).num_points
        for result in results
        if 'scrambled_instruction' in result
    ]


@pytest.mark.parametrize('resample_prob, share', [(0.0, 1.0), (None, 0.56), (1.0, 0.13)])
def test_the_share_of_other_formats(monkeypatch, resample_prob, share):
    if resample_prob is not None:
        monkeypatch.setattr(scramble, 'RESAMPLE_PROB', resample_prob)
    numbers = _numbers_of_points(prob=1.0)
    assert len(numbers) == 400 and np.mean(np.array(numbers) == 2) == pytest.approx(share, abs=0.06)
    assert resample_prob == 0 or set(numbers) == set(range(1, 25))


def test_a_share_of_the_samples_has_a_copy():
    assert not _numbers_of_points(prob=0.0)
    assert len(_numbers_of_points(prob=0.25)) == pytest.approx(100, abs=30)
