"""What configs, released weights and seeds give is what they gave before: ``python -m tests.pins.record`` says how.

A refactoring leaves all of these as they are. Whoever changes the behaviour on purpose writes the files anew, and says
so in the commit.
"""

import math

import pytest

from tests.pins.measure import PINS, rounded, stored

# Relative and absolute tolerances, by the kind of pin or by the key of a number in it. Two to ten times what changes
# where PyTorch's kernels are those of a processor without vector instructions; threads change less.
TOLERANCES = {
    'losses': (1e-5, 1e-7),
    'warmups': (3e-5, 0.0),
    'scores': (5e-6, 5e-6),
    'bboxes': (1e-6, 1e-4),
    'polygons': (1e-6, 1e-4),
    'keypoints': (1e-6, 1e-4),
}


def differences(found, expected, kind, path=''):
    """Where two nested values differ, in words."""
    if isinstance(expected, dict) and isinstance(found, dict):
        lines = [f'{path}: {key!r} is gone' for key in expected.keys() - found.keys()]
        lines += [f'{path}: {key!r} is new' for key in found.keys() - expected.keys()]
        for key in expected.keys() & found.keys():
            inside = key if kind == 'predictions' and key in TOLERANCES else kind
            lines += differences(found[key], expected[key], inside, f'{path}/{key}')
        return lines
    if isinstance(expected, list) and isinstance(found, list):
        lines = [] if len(found) == len(expected) else [f'{path}: {len(found)} instead of {len(expected)}']
        for i, pair in enumerate(zip(found, expected, strict=False)):
            lines += differences(*pair, kind, f'{path}/{i}')
        return lines
    if isinstance(expected, float):
        relative, absolute = TOLERANCES[kind]
        same = isinstance(found, float) and math.isclose(found, expected, rel_tol=relative, abs_tol=absolute)
    else:
        same = found == expected
    return [] if same else [f'{path}: {found} instead of {expected}']


def check(kind, name):
    lines = differences(rounded(PINS[kind][0](name)), stored(kind)[name], kind)
    assert not lines, '\n'.join([f'{kind} of {name}', *sorted(lines)])


@pytest.mark.parametrize('kind', PINS)
def test_all_that_is_measured_is_stored(kind):
    assert sorted(stored(kind)) == sorted(PINS[kind][1])


@pytest.mark.parametrize('name', PINS['state_dicts'][1])
def test_names_and_shapes_of_the_state_dict(name):
    check('state_dicts', name)


@pytest.mark.parametrize('task', PINS['predictions'][1])
def test_predictions_of_the_released_weights(task):
    check('predictions', task)


@pytest.mark.parametrize('batch', PINS['losses'][1])
def test_losses_of_a_batch(batch):
    check('losses', batch)


@pytest.mark.parametrize('name', PINS['initial_weights'][1])
def test_initial_weights_of_seed_0(name):
    found, expected = PINS['initial_weights'][0](name), stored('initial_weights')[name]
    assert found.keys() == expected.keys()
    for part, sums in expected.items():
        # The other sums add up numbers of both signs, to the size of the sum of their absolute values at most.
        assert found[part] == pytest.approx(sums, rel=0, abs=1e-7 * sums[1]), part


@pytest.mark.parametrize('name', PINS['warmups'][1])
def test_first_losses_of_each_warmup(name):
    check('warmups', name)
