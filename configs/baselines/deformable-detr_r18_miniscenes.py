# mmdet's own DeformableDETR beside visionllm-tiny: same images and schedule.
_base_ = [
    '../_base_/models/deformable-detr_r18.py',
    '../_base_/datasets/miniscenes_detection.py',
    '../_base_/schedules/schedule_2e.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(dataset=dict(return_classes=False, pipeline={{_base_.plain_train_pipeline}}))
val_dataloader = dict(dataset=dict(return_classes=False, pipeline={{_base_.plain_test_pipeline}}))
test_dataloader = val_dataloader
