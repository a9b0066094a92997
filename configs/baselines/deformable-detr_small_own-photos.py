# mmdet's own DeformableDETR with the backbone, images and schedule of visionllm-small_own-photos.py:
#   DATA_ROOT=dir python tools/train.py configs/baselines/deformable-detr_small_own-photos.py
_base_ = [
    '../_base_/models/deformable-detr_small.py',
    '../_base_/datasets/own_photos_detection.py',
    '../_base_/schedules/schedule_own_photos.py',
]

model = dict(bbox_head=dict(num_classes={{_base_.num_classes}}))

train_dataloader = dict(dataset=dict(return_classes=False, pipeline={{_base_.plain_train_pipeline}}))
val_dataloader = dict(dataset=dict(return_classes=False, pipeline={{_base_.plain_test_pipeline}}))
test_dataloader = val_dataloader
