"""Measures the time of a prediction for each task: one picture at a time, from the array to the prediction.

    python tools/benchmark_tasks.py --repeat 20

Pictures are rendered scenes of MiniScenes; the tasks are those of tools/demo.py. Predictions
are neither rendered nor written.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from _launch import import_plugin, load_inferencer, parse_with_model, render_scenes
from benchmark import median_ms
from demo import ask_every_task


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--repeat', type=int, default=20, help='pictures per task; the median counts (default: 20)')
    args = parse_with_model(parser)
    if args.repeat < 1:
        parser.error(f'--repeat must be at least 1, got {args.repeat}')
    return args


def main() -> None:
    args = parse_args()
    import_plugin()
    import mmcv
    import torch

    model = load_inferencer(args, show_progress=False)
    with tempfile.TemporaryDirectory() as folder:
        # Two calls of each task are not counted.
        pictures = [mmcv.imread(path) for path in render_scenes(Path(folder), args.repeat + 2)]
    print(
        f'{args.repeat} pictures of 128 px, one at a time, on {args.device} with {torch.get_num_threads()} threads; '
        f'median in ms'
    )
    for title, question in ask_every_task(model, scene=None, score_thr=0.3).items():
        rest = iter(pictures)
        milliseconds = median_ms(lambda ask=question.ask, rest=rest: ask(next(rest)), args.repeat)
        print(f'{title:<34}{milliseconds:>6.0f}')


if __name__ == '__main__':
    main()
