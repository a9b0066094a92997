# mmdet's own Mask R-CNN with visionllm-tiny's backbone, images and augmentation. Needs mmcv's compiled ops
# (make install-ops).
_base_ = [
    'mmdet::_base_/models/mask-rcnn_r50_fpn.py',
    '../_base_/datasets/miniscenes_detection.py',
    '../_base_/schedules/schedule_2e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    data_preprocessor=dict(pad_size_divisor=32),
    backbone=dict(
        depth=18,
        base_channels=32,
        frozen_stages=-1,
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=False,
        init_cfg=None,
    ),
    neck=dict(in_channels=[32, 64, 128, 256], out_channels=128),
    # Objects are 22 to 64 px wide.
    rpn_head=dict(in_channels=128, feat_channels=128, anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=128, finest_scale=28),
        bbox_head=dict(in_channels=128, fc_out_channels=256, num_classes=8),
        mask_roi_extractor=dict(out_channels=128, finest_scale=28),
        mask_head=dict(in_channels=128, conv_out_channels=128, num_classes=8),
    ),
    # For six objects at most: an eighth of mmdet's RoIs and a quarter of its proposals, a sixth of the time.
    train_cfg=dict(rpn_proposal=dict(nms_pre=500), rcnn=dict(sampler=dict(num=64))),
)

train_pipeline = [
    dict(type='SeedBySample'),
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Resize', scale={{_base_.image_scale}}, keep_ratio=True),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(dataset=dict(return_classes=False, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(return_classes=False, pipeline={{_base_.plain_test_pipeline}}))
test_dataloader = val_dataloader
val_evaluator = dict(metric=['bbox', 'segm'])
test_evaluator = val_evaluator
