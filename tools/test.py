"""Evaluate a checkpoint: python tools/test.py CONFIG CHECKPOINT [--show-dir DIR]."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from _launch import (
    add_shared_arguments,
    build_runner,
    data_errors_in_one_line,
    import_plugin,
    leave_process_group,
    load_config,
    require_data,
    require_file,
    require_own_data,
)

if TYPE_CHECKING:
    from mmengine.config import Config
    from mmengine.runner import Runner


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Evaluate a checkpoint on a config's test set.")
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--work-dir',
        help="folder for logs and metrics (default: the config's work_dir, else work_dirs/<config name>)",
    )
    parser.add_argument(
        '--out',
        metavar='FILE.pkl',
        help='write the predictions to a pickle file; of several tasks, to FILE_<task>.pkl each',
    )
    parser.add_argument('--show', action='store_true', help='show each prediction in a window')
    parser.add_argument('--show-dir', metavar='DIR', help='render each prediction into this folder')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds a window stays with --show (default: 2)')
    add_shared_arguments(parser)
    args = parser.parse_args()
    require_file(args.config, 'config')
    require_file(args.checkpoint, 'checkpoint')
    if args.out and not args.out.endswith(('.pkl', '.pickle')):
        sys.exit(f'test.py: --out has to end in .pkl or .pickle, not {args.out}')
    return args


def enable_drawing(cfg: Config, args: argparse.Namespace) -> None:
    """Turn on the config's visualization hook, which is off by default."""
    hook = cfg.get('default_hooks', {}).get('visualization')
    if not hook:
        sys.exit(
            'test.py: --show and --show-dir need '
            f"default_hooks.visualization=dict(type='DetVisualizationHook') in {cfg.filename}"
        )
    hook.draw = True
    if args.show:
        hook.show, hook.wait_time = True, args.wait_time
    if args.show_dir:
        # The hook puts a relative path into its dated folder in work_dir; it keeps an absolute path.
        hook.test_out_dir = str(Path(args.show_dir).absolute())


def dump_predictions(runner: Runner, out: Path) -> None:
    """Write the predictions of the test, or of the test of each task, to a file at its end."""
    from mmdet.evaluation import DumpDetResults

    for task, loop in getattr(runner.test_loop, 'loops', {'': runner.test_loop}).items():
        file = out.with_stem(f'{out.stem}_{task}') if task else out
        loop.evaluator.metrics.append(DumpDetResults(out_file_path=str(file)))


def main() -> None:
    args = parse_args()
    import_plugin()
    cfg = load_config(args)
    cfg.load_from = args.checkpoint
    if args.show or args.show_dir:
        enable_drawing(cfg, args)
    require_data(cfg, 'test_dataloader', 'test_evaluator', 'test_cfg')
    require_own_data(cfg, 'test_dataloader', 'test_cfg')
    runner = build_runner(cfg)
    if args.out:
        dump_predictions(runner, Path(args.out))
    with data_errors_in_one_line():
        runner.test()
    leave_process_group()


if __name__ == '__main__':
    main()
