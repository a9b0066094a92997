"""Lets Python find the stand-in for mmcv's ops where mmcv was installed without them.

`setup.py` installs a copy of this file as `visionllm_mm_ops`, and a `visionllm_mm_ops.pth` that calls `install` at
every start of Python. So mmdet can be imported before visionllm_mm. The file imports next to nothing: every Python
process of the environment pays for it.
"""

import sys


class OpsFinder:
    """A finder for `sys.meta_path` that knows `mmcv._ext` only.

    It stands behind Python's own finders. They find the file of ops that are built, so this one is not asked. Ops that
    are built and do not load raise their own error.
    """

    @staticmethod
    def find_spec(name, path=None, target=None):
        """Return what Python loads `mmcv._ext` from; None for any other name, and where visionllm_mm is not found."""
        if name != 'mmcv._ext':
            return None
        # At the top of the file these imports would slow down every start of Python.
        from importlib.util import find_spec, spec_from_file_location
        from pathlib import Path

        package = find_spec('visionllm_mm')
        if package is None or package.origin is None:
            return None
        return spec_from_file_location(name, Path(package.origin).parent / 'compat' / 'ops_stand_in.py')


def install() -> None:
    """Put the finder at the end of the list."""
    sys.meta_path.append(OpsFinder)
