# mmdet's own DeformableDETR beside visionllm-tiny on any COCO-format folder:
#   DATA_ROOT=dir python tools/train.py configs/baselines/deformable-detr_r18_custom-coco.py
_base_ = [
    '../_base_/models/deformable-detr_r18.py',
    '../_base_/datasets/custom_coco_detection.py',
    '../_base_/schedules/schedule_60e.py',
    '../_base_/default_runtime.py',
]

# mmdet can't return more predictions than queries x classes, and there may be one class.
model = dict(num_queries=50, bbox_head=dict(num_classes={{_base_.num_classes}}), test_cfg=dict(max_per_img=50))

default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=10))

train_dataloader = dict(dataset=dict(return_classes=False, pipeline={{_base_.plain_train_pipeline}}))
val_dataloader = dict(dataset=dict(return_classes=False, pipeline={{_base_.plain_test_pipeline}}))
test_dataloader = val_dataloader
