"""Keeps the optimizer's state out of checkpoints, in a file beside each."""

import pickle
from pathlib import Path

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner, find_latest_checkpoint

from ...atomic_files import write_files

SUFFIX = '.optimizer.pth'


@HOOKS.register_module()
class OptimizerFileHook(Hook):
    """Beside ``epoch_3.pth``, which has the weights, writes ``epoch_3.optimizer.pth`` with the optimizer's state.

    AdamW's state is twice as large as the weights that train, and only a run that resumes from the checkpoint reads it.
    So it does here, too; starting from the checkpoint (``load_from``), evaluating or handing it on takes the first file
    alone. A state goes when its checkpoint does (``max_keep_ckpts`` of mmengine's ``CheckpointHook``).

    Raises:
        FileNotFoundError: while resuming, when the state is not beside the checkpoint.
        RuntimeError: while resuming, when the file beside the checkpoint is damaged, or another checkpoint's.
    """

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        if 'optimizer' not in checkpoint:  # the best checkpoint is saved without
            return
        saved_as = Path(runner.message_hub.get_info('last_ckpt'))
        checkpoint['optimizer_file'] = saved_as.stem + SUFFIX
        state_file = saved_as.with_name(checkpoint['optimizer_file'])
        write_files({state_file: dict(written=_when(checkpoint), optimizer=checkpoint.pop('optimizer'))})
        for other in saved_as.parent.glob(f'*{SUFFIX}'):
            if other != state_file and not other.with_name(other.name.removesuffix(SUFFIX) + '.pth').exists():
                other.unlink()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        name = checkpoint.get('optimizer_file')
        if name is None or not runner.cfg.get('resume'):
            return
        # Hooks do not get the name of the file.
        loaded_from = runner.cfg.get('load_from') or find_latest_checkpoint(runner.work_dir)
        state_file = Path(loaded_from).with_name(name)
        if not state_file.is_file():
            raise FileNotFoundError(
                f"{state_file} is missing, the optimizer's state of {loaded_from}: put it there to resume, or start "
                'anew from the weights alone with load_from instead of resume'
            )
        try:
            content = torch.load(state_file, map_location='cpu', weights_only=True)
        except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise RuntimeError(f"{state_file}, the optimizer's state of {loaded_from}, is damaged: {error}") from error
        if content.get('written') != _when(checkpoint):
            raise RuntimeError(
                f"{state_file} is not the optimizer's state of {loaded_from}: it was written at "
                f'{content.get("written")}, the checkpoint at {_when(checkpoint)}'
            )
        checkpoint['optimizer'] = content['optimizer']


def _when(checkpoint: dict) -> str:
    """Names a checkpoint by the second and iteration it was written at."""
    return f'{checkpoint["meta"]["time"]}, iteration {checkpoint["meta"]["iter"]}'
