"""Python loads this file as `mmcv._ext` where mmcv was installed without its compiled ops.

Importing mmdet imports every op of mmcv, yet DETR-like models call none of them on a CPU. So this module has every op,
and each op says how to build it when it is called. The module imports the standard library only.
"""

from collections.abc import Callable

__stand_in__ = True  # how others tell this module from the real one


def get_compiler_version() -> str:
    """Answer for `collect_env` of mmcv and mmdet, as they do themselves where no op imports."""
    return 'n/a'


get_compiling_cuda_version = get_compiler_version


def __getattr__(name: str) -> Callable:
    """Make the op of that name, which raises RuntimeError when it is called; dunder names are no ops."""
    if name.startswith('__') and name.endswith('__'):
        # Python itself asks modules for these, as for __path__.
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')

    def op(*args, **kwargs):
        raise RuntimeError(_missing_op_message(name))

    op.__name__ = op.__qualname__ = name
    globals()[name] = op
    return op


def _missing_op_message(name: str) -> str:
    message = (
        f'mmcv op {name!r} is not built: run `make install-ops` in a checkout of visionllm-mmdet, '
        'or `python tools/install_ops.py` (needs a C++ compiler, about 10 minutes on 2 cores)'
    )
    if name.startswith('ms_deform_attn'):
        message += '; only a GPU needs it: with CUDA_VISIBLE_DEVICES= all runs on the CPU'
    return message
