"""VisionLLM for MMDetection: importing it registers its models, data sets, hooks and metrics."""

from visionllm_mm.environment import check_versions, install_ops_stand_in
from visionllm_mm.version import __version__

__all__ = ['__version__']

# The order matters: mmdet fails on import where mmcv's ops are neither built nor stood in for.
check_versions()
install_ops_stand_in()

from visionllm_mm.safe_checkpoints import allow_mmengine_checkpoints  # noqa: E402

allow_mmengine_checkpoints()

from visionllm_mm import datasets, engine, evaluation, models, visualization  # noqa: E402, F401 (registers)
