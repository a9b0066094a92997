"""Lets mmdet's LVISMetric run: lvis 0.5.3, the newest on PyPI, uses ``np.float``, which NumPy 2 has no longer."""

import types

import numpy as np

try:
    import lvis.eval as lvis_eval
except ImportError:  # the metric says itself what to install
    lvis_eval = None


class _NumpyWithFloat(types.ModuleType):
    float = float

    def __getattr__(self, name: str):
        return getattr(np, name)


if lvis_eval is not None and not hasattr(lvis_eval.np, 'float'):
    lvis_eval.np = _NumpyWithFloat('numpy')
