"""Lines of mmengine and mmdet that tell the user of VisionLLM nothing are left out.

Each is known by its text. Nothing else is hidden, and no logger and no filter of warnings stays changed.
"""

import contextlib
import importlib
import io
import warnings

from mmengine.registry import FUNCTIONS, Registry

ONEDL_LINE = 'Could not import OneDL. Skipping OneDL datasets.'
EVAL_WARNING = 'faster_coco_eval is not installed'


def import_mmdet() -> None:
    """Imports what mmdet is used for, without its lines about optional parts of its own that nothing here uses."""
    printed = io.StringIO()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(printed):
            warnings.filterwarnings('ignore', message=EVAL_WARNING)
            for part in ('datasets', 'evaluation'):
                importlib.import_module(f'mmdet.{part}')
    finally:
        for line in printed.getvalue().splitlines():
            if line != ONEDL_LINE:
                print(line)


def give_mmdet_functions() -> None:
    """Gives mmdet a registry of functions, which it lacks: every inferencer of mmdet warns that it finds none."""
    if 'mmdet' not in FUNCTIONS.children:
        Registry('function', parent=FUNCTIONS, scope='mmdet')
