# mmdet's own DeformableDETR with the backbone of visionllm-small_miniscenes.py and as many images: shapes, 4 epochs.
#   python tools/prepare_miniscenes.py
#   python tools/train.py configs/baselines/deformable-detr_small_miniscenes.py
_base_ = [
    '../_base_/models/deformable-detr_small.py',
    '../_base_/datasets/miniscenes_detection.py',
    '../_base_/schedules/schedule_2e.py',
    '../_base_/default_runtime.py',
]

model = dict(backbone=dict(frozen_stages=6))
train_pipeline = [
    dict(type='SeedBySample'),
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomResize', scale={{_base_.image_scale}}, ratio_range=(0.8, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(176, 176), allow_negative_crop=True),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(dataset=dict(return_classes=False, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(return_classes=False, pipeline={{_base_.plain_test_pipeline}}))
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=4, val_interval=4)
