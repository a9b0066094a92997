"""Runs a tool as ``python`` would, with few images and steps: ``python tests/helpers/short_run.py tools/train.py ...``.

MiniScenes have eight images, photographs of trees and of digits are a few, warm-ups have two steps, epochs of sampled
tasks, too, and long trainings two epochs. All else is as the command says.
"""

import runpy
import sys
from pathlib import Path

from mmengine.config import Config

_FROM_FILE = Config.fromfile
_FEW = {
    'prepare_miniscenes.py': ['--num-train', '8', '--num-val', '4'],
    'tests.helpers.pasted_digits': ['--train', '4', '--val', '2'],
}
"""By tool or module, options of fewer images."""


def _shortened(*args, **kwargs) -> Config:
    cfg = _FROM_FILE(*args, **kwargs)
    for hook in cfg.get('default_hooks', {}).values():
        if hook and str(hook['type']).endswith('WarmupHook'):
            hook['num_iters'] = 2
    sampler = cfg.get('train_dataloader', {}).get('sampler', {})
    if sampler.get('type') == 'OneTaskSampler':
        sampler['num_batches'] = 2
    train_cfg = cfg.get('train_cfg') or {}
    if train_cfg.get('max_epochs', 0) > 60:
        train_cfg.update(max_epochs=2, val_interval=1)
        cfg.default_hooks.checkpoint.interval = 1
    return cfg


def main() -> None:
    Config.fromfile = _shortened
    name, *arguments = sys.argv[1:]
    if '--epochs' in arguments:
        place = arguments.index('--epochs') + 1
        if int(arguments[place]) > 10:
            arguments[place] = '2'
    if name == '-m':
        sys.argv = arguments + _FEW.get(arguments[0], [])
        sys.path.insert(0, '')
        runpy.run_module(arguments[0], run_name='__main__', alter_sys=True)
        return
    sys.argv = [name, *arguments, *_FEW.get(Path(name).name, [])]
    sys.path.insert(0, str(Path(name).resolve().parent))
    runpy.run_path(name, run_name='__main__')


if __name__ == '__main__':
    main()
