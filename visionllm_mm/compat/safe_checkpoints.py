"""Load mmengine's checkpoints without running code that a checkpoint may carry.

A checkpoint of mmengine holds training logs (HistoryBuffer, numpy arrays) beside the weights.
`torch.load(weights_only=True)`, the default since torch 2.6, refuses those types until allowed.
"""

from __future__ import annotations

import os
import pickle
from typing import Any

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader

# Plain numbers, booleans and text. Object arrays stay refused: they may hold anything.
_DTYPES = ('?', 'b', 'B', 'h', 'H', 'i', 'I', 'l', 'L', 'q', 'Q', 'e', 'f', 'd', 'U')


def _statistic_of_history_buffer(owner: Any, name: str) -> Any:
    """Stands for `getattr` while a checkpoint is read: HistoryBuffer's statistics are pickled so.

    The real getattr reaches any code from an allowed object: allowing it would undo the protection.
    """
    if owner is HistoryBuffer and name in ('min', 'max', 'current', 'mean'):
        return getattr(HistoryBuffer, name)
    raise pickle.UnpicklingError(f'the checkpoint asks for attribute {name!r} of {owner!r}')


def mmengine_globals() -> list[tuple[Any, str]]:
    """The (object, name in the file) pairs that mmengine's training logs and settings need.

    Always pairs: onedl-mmengine takes bare objects off the global list after each load of its own.
    """
    # The functions that numpy rebuilds arrays and scalars with: numpy 1 and 2 keep them in private
    # modules of different names, so they are asked for in public.
    reconstruct, scalar = np.zeros(0).__reduce__()[0], np.float64(0).__reduce__()[0]
    allowed = [
        (HistoryBuffer, 'mmengine.logging.history_buffer.HistoryBuffer'),
        (ConfigDict, 'mmengine.config.config.ConfigDict'),  # beside the weights that DeepSpeed saves
        (_statistic_of_history_buffer, 'builtins.getattr'),
        (np.ndarray, 'numpy.ndarray'),
        (np.dtype, 'numpy.dtype'),
    ]
    for core in ('numpy._core', 'numpy.core'):  # numpy 2, numpy 1
        allowed.append((reconstruct, f'{core}.multiarray._reconstruct'))
        allowed.append((scalar, f'{core}.multiarray.scalar'))
    for dtype in {type(np.dtype(code)) for code in _DTYPES}:
        allowed.append((dtype, f'numpy.dtypes.{dtype.__name__}'))
    return allowed


def allow_mmengine_checkpoints() -> None:
    """Let `torch.load(weights_only=True)` read what mmengine's Runner saves, process-wide."""
    torch.serialization.add_safe_globals(mmengine_globals())


def load_from_local_safely(filename: str, map_location: Any = None) -> Any:
    """Load a checkpoint file as weights and logs only; refuse what could run code.

    Of a DeepSpeed checkpoint (ZeRO 1 or 2) it is ``mp_rank_00_model_states.pt`` that has the weights.

    Args:
        filename: path of the file.
        map_location: see ``torch.load``.

    Raises:
        FileNotFoundError: there is no such file.
        RuntimeError: the file holds other Python objects; the message names them and the way round.
    """
    path = os.path.expanduser(filename)
    if not os.path.isfile(path):
        raise FileNotFoundError(f'checkpoint not found: {filename}')
    try:
        # weights_only stays at its default, True: given, it would override torch's own variable.
        checkpoint = torch.load(path, map_location=map_location)
    except pickle.UnpicklingError as error:
        raise RuntimeError(
            f'{filename} holds Python objects that could run code when loaded: '
            f'{_refused(path, error)}. If you trust its source, set '
            'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1 and repeat the command'
        ) from error
    if isinstance(checkpoint, dict) and 'ds_version' in checkpoint:
        checkpoint['state_dict'] = checkpoint.pop('module')
    return checkpoint


def _refused(path: str, error: Exception) -> str:
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except (RuntimeError, ValueError, pickle.UnpicklingError):  # not torch's zip format
        names = []
    return ', '.join(sorted(names)) or str(error).splitlines()[0]


def use_safe_checkpoint_loading() -> None:
    """Make mmengine load local files with `load_from_local_safely`, in the whole process.

    onedl-mmengine loads a refused file again without protection, after a warning. A program that
    owns its process, as our tools do, calls this once; importing visionllm_mm alone does not.
    """
    CheckpointLoader.register_scheme(prefixes='', loader=load_from_local_safely, force=True)
