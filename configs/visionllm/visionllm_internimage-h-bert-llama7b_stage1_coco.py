# VisionLLM-H, stage 1. There is no public Deformable DETR with this backbone to start from, so an alignment loss
# ties image tokens to their class names.
_base_ = [
    '../_base_/models/visionllm_internimage-h.py',
    '../_base_/datasets/coco_detection.py',
    '../_base_/schedules/schedule_25e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    vocabulary={{_base_.vocabulary}},
    criterion=dict(loss_alignment=dict(type='AlignmentLoss', loss_weight=1.0, scale=10.0)),
)
# A checkpoint is two files: weights (0.93 GB of VisionLLM-R50) and what only a run that resumes reads (1.86 GB).
default_hooks = dict(optimizer_file=dict(type='OptimizerFileHook'))
