"""VisionLLM for MMDetection: importing it registers its models, data sets, hooks and metrics."""

import importlib.util

from visionllm_mm.compat.environment import check_versions, install_ops_stand_in
from visionllm_mm.version import __version__

__all__ = ['__version__']

# The order matters: mmdet does not import where mmcv's ops are not built and Python finds no stand-in for them.
check_versions()
install_ops_stand_in()

from visionllm_mm.compat import quiet  # noqa: E402

quiet.import_mmdet()
quiet.give_mmdet_functions()

from visionllm_mm.compat import (  # noqa: E402
    lvis_numpy2,  # noqa: F401 (mends mmdet's LVISMetric)
    repeated_samples,
    safe_checkpoints,
)

repeated_samples.install()
safe_checkpoints.allow_mmengine_checkpoints()

from visionllm_mm import datasets, engine, evaluation, models, visualization  # noqa: E402, F401 (registers)

# The paper's model does without it.
if importlib.util.find_spec('visionllm_mm.small_llm') is not None:
    from visionllm_mm import small_llm  # noqa: F401 (registers)
