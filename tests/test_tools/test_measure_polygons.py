"""tools/measure_polygons.py: the best that polygon points can say."""

import json
from functools import partial

from tests.helpers.command_line import run_tool

_run = partial(run_tool, 'measure_polygons.py')


def test_table_of_squares_and_a_frame(tmp_path):
    frame = [[10, 10, 40, 10, 40, 40, 10, 40]]
    annotations = [
        dict(id=i, image_id=1, category_id=i, bbox=[10, 10, 30, 30], area=900, iscrowd=0, segmentation=frame)
        for i in (1, 2)
    ]
    annotations[1]['segmentation'] = dict(size=[64, 64], counts=[64 * 64])  # an empty mask is passed over
    path = tmp_path / 'ann.json'
    path.write_text(
        json.dumps(
            dict(
                images=[dict(id=1, width=64, height=64)],
                annotations=annotations,
                categories=[dict(id=1, name='square'), dict(id=2, name='nothing')],
            )
        )
    )
    result = _run(path, '--points', 4, 8)
    assert result.returncode == 0, result.stderr
    rows = [line.split() for line in result.stdout.splitlines() if line.strip()[:1].isdigit()]
    assert [row[0] for row in rows] == ['4', '8']
    diamond, octagon = float(rows[0][2]), float(rows[1][2])
    assert 0.45 < diamond < 0.6 and octagon > 0.95  # the middles of the sides, and the corners, too


def test_bad_arguments(tmp_path):
    assert 'annotation file not found' in _run(tmp_path / 'none.json').stderr
    (tmp_path / 'a.json').write_text('{}')
    assert 'at least 3 points' in _run(tmp_path / 'a.json', '--points', 2).stderr
