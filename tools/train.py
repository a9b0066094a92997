"""Train the model of a config: python tools/train.py CONFIG [--work-dir DIR] [--resume]."""

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
    require_weights,
)

if TYPE_CHECKING:
    from mmengine.config import Config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train the model of a config.')
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--work-dir',
        help="folder for checkpoints and logs (default: the config's work_dir, else work_dirs/<config name>)",
    )
    parser.add_argument('--amp', action='store_true', help='mixed precision (needs a GPU)')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate by total batch size / auto_scale_lr.base_batch_size',
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from this checkpoint; without a path, from the last one in the work folder, '
        'or from the start if there is none',
    )
    parser.add_argument(
        '--epochs',
        type=int,
        metavar='N',
        help='number of epochs, instead of that of the config; learning rates decay until the end',
    )
    parser.add_argument(
        '--warmup-iters',
        type=int,
        metavar='N',
        help='number of steps of each warm-up before the first image, for a trial run; 0: no warm-up',
    )
    add_shared_arguments(parser)
    args = parser.parse_args()
    require_file(args.config, 'config')
    if args.warmup_iters is not None and args.warmup_iters < 0:
        parser.error(f'--warmup-iters must be at least 0, got {args.warmup_iters}')
    if args.epochs is not None and args.epochs < 1:
        parser.error(f'--epochs must be at least 1, got {args.epochs}')
    if args.resume not in (None, 'auto') and not Path(args.resume).is_dir():  # DeepSpeed's are folders
        require_file(args.resume, 'checkpoint')
    return args


def enable_amp(cfg: Config) -> None:
    """Switch the optimizer wrapper to mixed precision; a dtype or scale set in the config stays."""
    wrapper = cfg.optim_wrapper
    kind = wrapper.get('type', 'OptimWrapper')
    if kind not in ('OptimWrapper', 'AmpOptimWrapper'):
        sys.exit(f'train.py: --amp cannot replace optim_wrapper.type={kind!r} of {cfg.filename}')
    wrapper.type = 'AmpOptimWrapper'
    # bfloat16 has the range of float32, so losses need no scaling.
    wrapper.setdefault('loss_scale', 1.0 if wrapper.get('dtype') == 'bfloat16' else 'dynamic')


def train_in_float32_without_gpu(cfg: Config) -> None:
    """Let a config in mixed precision, which mmengine refuses on a CPU, run there slowly, for trials."""
    from mmengine.device import get_device

    if cfg.optim_wrapper.get('type') != 'AmpOptimWrapper' or get_device() != 'cpu':
        return
    print(
        f'train.py: no GPU: optim_wrapper.type of {cfg.filename} is OptimWrapper instead of '
        'AmpOptimWrapper, that is, without mixed precision'
    )
    cfg.optim_wrapper.type = 'OptimWrapper'
    for key in ('dtype', 'loss_scale', 'use_fsdp'):
        cfg.optim_wrapper.pop(key, None)


def set_epochs(cfg: Config, epochs: int) -> None:
    """Set the length of the training and of all schedules that end with it, and validate at the end."""
    train_cfg = cfg.train_cfg
    if not train_cfg.get('by_epoch', train_cfg.get('type') != 'IterBasedTrainLoop'):
        sys.exit(f'train.py: --epochs: {cfg.filename} trains by iterations; set train_cfg.max_iters by --cfg-options')
    before = train_cfg.max_epochs
    schedulers = cfg.get('param_scheduler') or []
    for scheduler in schedulers if isinstance(schedulers, list) else [schedulers]:
        for key in ('end', 'T_max'):
            if scheduler.get('by_epoch', True) and scheduler.get(key) == before:
                scheduler[key] = epochs
    interval = train_cfg.get('val_interval', 1)
    if interval == before or interval > epochs:
        train_cfg.val_interval = epochs
    train_cfg.max_epochs = epochs


def set_warmup_iters(cfg: Config, count: int) -> None:
    """Set the number of steps of all warm-ups, or leave them out."""
    hooks = cfg.get('default_hooks') or {}
    names = [name for name, hook in hooks.items() if hook and str(hook.get('type')).endswith('WarmupHook')]
    if not names:
        sys.exit(f'train.py: --warmup-iters: {cfg.filename} has no warm-up in default_hooks')
    for name in names:
        if count:
            hooks[name].num_iters = count
        else:
            hooks[name] = None


def enable_auto_scale_lr(cfg: Config) -> None:
    if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
        sys.exit(f'train.py: --auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...) in {cfg.filename}')
    cfg.auto_scale_lr.enable = True


def resume(cfg: Config, checkpoint: str) -> None:
    """Go on from a checkpoint or, with "auto", the last one; where there is none, start as the config states."""
    if checkpoint == 'auto':
        from mmengine.runner import find_latest_checkpoint

        checkpoint = find_latest_checkpoint(cfg.work_dir)
    if checkpoint is not None:
        cfg.resume, cfg.load_from = True, checkpoint
        if (cfg.model.get('backbone') or {}).get('init_cfg'):
            cfg.model.backbone.init_cfg = None  # its file may be gone, and mmengine would read it before the checkpoint


def main() -> None:
    args = parse_args()
    import_plugin()
    cfg = load_config(args)
    if args.epochs is not None:
        set_epochs(cfg, args.epochs)
    if args.warmup_iters is not None:
        set_warmup_iters(cfg, args.warmup_iters)
    if args.amp:
        enable_amp(cfg)
    else:
        train_in_float32_without_gpu(cfg)
    if args.auto_scale_lr:
        enable_auto_scale_lr(cfg)
    if args.resume:
        resume(cfg, args.resume)
    require_weights(cfg)
    require_data(cfg, 'train_dataloader', 'val_dataloader', 'val_evaluator')
    require_own_data(cfg, 'train_dataloader', 'val_dataloader')
    with data_errors_in_one_line():
        build_runner(cfg).train()
    leave_process_group()


if __name__ == '__main__':
    main()
