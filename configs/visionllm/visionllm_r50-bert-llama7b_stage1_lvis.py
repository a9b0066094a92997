# VisionLLM-R50 on LVIS v1, detection of 1203 classes in groups, for the paper's table of large-vocabulary detection.
_base_ = [
    '../_base_/models/visionllm_r50.py',
    '../_base_/datasets/lvis_v1_detection.py',
    '../_base_/schedules/schedule_25e.py',
    '../_base_/default_runtime.py',
]

from visionllm_mm.config_files import from_environment  # noqa: E402

load_from = from_environment('START', 'work_dirs/start/visionllm_r50.pth')
# LVIS counts 300 predictions per image.
model = dict(vocabulary={{_base_.vocabulary}}, test_cfg=dict(max_per_img=300))
# A checkpoint is two files: weights (0.93 GB of VisionLLM-R50) and what only a run that resumes reads (1.86 GB).
default_hooks = dict(checkpoint=dict(save_best='lvis/bbox_AP'), optimizer_file=dict(type='OptimizerFileHook'))
