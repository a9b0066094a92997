# mmdet's own DeformableDETR beside visionllm-tiny: same images and schedule.
_base_ = [
    '../_base_/deformable-detr_r18.py',
    '../_base_/miniscenes_detection.py',
    '../_base_/schedule_short.py',
    '../_base_/default_runtime.py',
]
