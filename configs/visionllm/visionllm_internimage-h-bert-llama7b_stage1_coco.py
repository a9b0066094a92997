# VisionLLM-H, stage 1. There is no public Deformable DETR with this backbone to start from, so a loss ties tokens to
# the names of their classes.
_base_ = [
    '../_base_/models/visionllm_internimage-h.py',
    '../_base_/datasets/coco_detection.py',
    '../_base_/schedules/schedule_25e.py',
    '../_base_/paper_runtime.py',
]

model = dict(
    vocabulary={{_base_.vocabulary}},
    criterion=dict(loss_alignment=dict(type='AlignmentLoss', loss_weight=1.0, scale=10.0)),
)
