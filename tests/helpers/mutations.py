"""Changes annotation files at random."""

import copy

import numpy as np

ODD_VALUES = [
    None,
    '',
    '7',
    'seven',
    True,
    False,
    0,
    -1,
    0.5,
    -3.25,
    1e30,
    10**40,
    2**60,
    float('nan'),
    float('inf'),
    [],
    {},
    [[]],
    [1, 2, 3, 4],
    ['1', '2', '3', '4'],
    [[1, 2], [3, 4], [9, 1]],
    [[[1, 2], [30, 4], [9, 21]]],
    [10, 10, 40, 10, 40, 40],
    [[10, 10, 40, 10, 40, 40], [1, 2]],
    dict(size=[64, 64], counts=[10, 20, 4066]),
    dict(size=[64, 64], counts='abc'),
    dict(size=[64, 64], counts=[]),
    dict(size=['64', 64], counts=['4000', '96']),
    dict(size=64, counts=None),
    '../train/1.png',
    'a' * 300,
    '\x00',
    '<c0>',
]


def mutate(content: dict, seed: int) -> object:
    """A copy of an annotation file with one to four changes."""
    rng = np.random.default_rng(seed)
    content = copy.deepcopy(content)
    for _ in range(int(rng.integers(1, 5))):
        if not isinstance(content, dict):
            break
        content = _change(content, rng)
    return content


def _pick(rng: np.random.Generator, values: list) -> object:
    return copy.deepcopy(values[int(rng.integers(len(values)))])


def _change(content: dict, rng: np.random.Generator) -> object:
    kind = int(rng.integers(10))
    if kind == 0 and rng.random() < 0.5:
        return _pick(rng, [[], None, 'text', [content], dict(images=[]), [dict(image_id=1, score=0.1)]])
    if kind == 1:
        name = _pick(rng, ['images', 'annotations', 'categories', 'info'])
        if rng.random() < 0.5:
            content.pop(name, None)
        else:
            content[name] = _pick(rng, ODD_VALUES)
        return content
    lists = [value for value in content.values() if isinstance(value, list) and value]
    if not lists:
        return content
    entries = lists[int(rng.integers(len(lists)))]
    place = int(rng.integers(len(entries)))
    if kind == 2:
        entries[place] = _pick(rng, ODD_VALUES)
    elif kind == 3:
        entries.append(copy.deepcopy(entries[place]))
    elif kind == 4:
        rng.shuffle(entries)
    elif kind == 5:
        del entries[place]
    else:
        everywhere = entries if kind == 6 else [entries[place]]
        keys = [list(entry) for entry in everywhere if isinstance(entry, dict) and entry]
        if keys:
            key, value = _pick(rng, keys[0]), _pick(rng, ODD_VALUES)
            _set(everywhere, key, value, int(rng.integers(4)))
    return content


def _set(entries: list, key: str, value: object, how: int) -> None:
    """Deletes a key, sets a value, changes its type, or exchanges a part of it."""
    for entry in entries:
        if not isinstance(entry, dict) or key not in entry:
            continue
        old = entry[key]
        if how == 0:
            del entry[key]
        elif how == 1:
            entry[key] = value
        elif how == 2:
            entry[key] = str(old)
        elif isinstance(old, list) and old:
            old[-1] = value
        else:
            entry[key] = [old]
