# mmdet's own DeformableDETR with the backbone, images and schedule of visionllm-small_own-photos.py:
#   python tools/get_pretrained.py
#   DATA_ROOT=dir python tools/train.py configs/baselines/deformable-detr_small_own-photos.py
_base_ = [
    '../_base_/models/deformable-detr_small.py',
    '../_base_/datasets/own_photos_detection.py',
    '../_base_/schedules/schedule_own_photos.py',
    '../_base_/default_runtime.py',
]

model = dict(bbox_head=dict(num_classes={{_base_.num_classes}}))

default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(interval={{_base_.val_interval}}),
    moving_average=dict(type='EMAHook', ema_type='TrainedPartsEMA', momentum=0.002),
    early_stopping=dict(type='EarlyStoppingHook', monitor='coco/bbox_mAP', rule='greater', patience=6, min_delta=0.001),
)

train_dataloader = dict(dataset=dict(return_classes=False, pipeline={{_base_.plain_train_pipeline}}))
val_dataloader = dict(dataset=dict(return_classes=False, pipeline={{_base_.plain_test_pipeline}}))
test_dataloader = val_dataloader
