"""Plots losses and metrics of trainings over their iterations, several runs in one picture.

    python tools/plot_log.py work_dirs/mine [work_dirs/other ...] --keys loss coco/bbox_mAP

A run is the work folder of tools/train.py. The parts of a training that was resumed are joined. For each value it
prints the best, the last, and where.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path

# Of COCO's metrics those that few look at; --keys shows them.
_SECONDARY = ('_75', '_s', '_m', '_l')
_LEFT_OUT = ('iter', 'epoch', 'step')

Curves = dict[str, list[tuple[int, float]]]
"""Per key, iterations and values."""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('runs', nargs='+', type=Path, help='work folders of trainings, or their scalars.json')
    parser.add_argument('--keys', nargs='+', help='what to plot, such as loss_class, grad_norm or coco/bbox_mAP_75')
    parser.add_argument('--out', type=Path, help='picture to write (default: curves.png in the first work folder)')
    return parser.parse_args()


def find_logs(run: Path) -> list[Path]:
    """The logs of a run and of those that resumed it, oldest first."""
    if run.is_file():
        return [run]
    found = sorted(run.glob('*/vis_data/scalars.json')) or sorted(run.glob('vis_data/scalars.json'))
    if not found:
        sys.exit(
            f'plot_log.py: no training log in {run}: name the work folder of a training, which has '
            'DATE_TIME/vis_data/scalars.json'
        )
    return found


def read_log(path: Path) -> Curves:
    """The curves of one log. Metrics stand at the iteration that was logged before them."""
    curves: Curves = {}
    iteration = 0
    lines = path.read_text(encoding='utf-8').splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            logged = json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines):  # the run was stopped while it wrote
                break
            sys.exit(f'plot_log.py: line {number} of {path} is no JSON: {error}')
        if not any('/' in key for key in logged):
            iteration = logged.get('iter', logged.get('step', iteration))
        for key, value in logged.items():
            metric = '/' in key
            # COCO's metrics are -1 where nothing can be measured.
            known = isinstance(value, int | float) and math.isfinite(value) and not (metric and value == -1)
            if known and key not in _LEFT_OUT and (metric or not any('/' in other for other in logged)):
                curves.setdefault(key, []).append((iteration, value))
    return curves


def read_run(run: Path) -> Curves:
    """The curves of a run; where it was resumed or begun again, the later log counts from its first iteration on."""
    joined: Curves = {}
    for path in find_logs(run):
        curves = read_log(path)
        begin = min((points[0][0] for points in curves.values()), default=None)
        if begin is not None:
            joined = {key: [point for point in points if point[0] < begin] for key, points in joined.items()}
            for key, points in curves.items():
                joined[key] = joined.get(key, []) + points
    return {key: points for key, points in joined.items() if points}


def choose_keys(runs: Mapping[str, Curves], wanted: list[str] | None) -> list[str]:
    """The keys to plot: those asked for, else the loss and the metrics."""
    known = list(dict.fromkeys(key for curves in runs.values() for key in curves))
    if not known:
        sys.exit(f'plot_log.py: nothing is logged yet in {", ".join(runs)}: a line is written every few iterations')
    if wanted is None:
        return [key for key in known if key == 'loss' or ('/' in key and not key.endswith(_SECONDARY))]
    for key in wanted:
        if key not in known:
            sys.exit(f'plot_log.py: no run has {key!r} in its log; there are {", ".join(sorted(known))}')
    return wanted


def plot(runs: Mapping[str, Curves], keys: list[str], out: Path) -> None:
    """Write the picture: one plot for each key, one line for each run."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot as plt

    columns = min(3, len(keys))
    rows = math.ceil(len(keys) / columns)
    figure, axes = plt.subplots(rows, columns, figsize=(5 * columns, 3.4 * rows), squeeze=False, layout='constrained')
    for axis, key in zip(axes.flat, keys, strict=False):
        for number, (name, curves) in enumerate(runs.items()):
            points = curves.get(key, [])
            # All runs are in every plot, so that a run has one color.
            axis.plot(*zip(*points, strict=True) if points else ([], []), marker='.', color=f'C{number}', label=name)
        axis.set(title=key, xlabel='iteration')
        axis.set_xlim(left=0)
        axis.grid(alpha=0.3)
    for axis in axes.flat[len(keys) :]:
        axis.remove()
    if len(runs) > 1:
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc='outside lower center', ncols=2)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=120)


def main() -> None:
    args = parse_args()
    runs = {str(run): read_run(run) for run in args.runs}
    keys = choose_keys(runs, args.keys)
    first = args.runs[0]
    out = args.out or (first.with_suffix('.png') if first.is_file() else first / 'curves.png')
    try:
        plot(runs, keys, out)
    except (OSError, ValueError) as error:  # such as a folder that can't be written, or an unknown kind of picture
        sys.exit(f'plot_log.py: {out} can not be written: {error}')
    for name, curves in runs.items():
        for key in filter(curves.get, keys):
            points = curves[key]
            iteration, best = (max if '/' in key else min)(points, key=lambda point: point[1])
            which = 'highest' if '/' in key else 'lowest'
            print(f'{name}: {key} {which} {best:.4g} at iteration {iteration}, last {points[-1][1]:.4g}')
    print(f'the picture is {out}')


if __name__ == '__main__':
    main()
