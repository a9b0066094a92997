# Data of the paper's large-vocabulary detection: LVIS v1. A training instruction lists 70 of its 1203 classes: those
# that the image shows, and others. The paper lists 80, but the longest of them would not fit into BERT (docs/data.md).
# Tests ask for all classes, in 16 groups.
_base_ = ['./coco_detection.py']

from visionllm_mm.config_files import from_environment  # noqa: E402

data_root = from_environment('COCO_ROOT', 'data/coco') + '/'
ask = dict(type='DetectionInstruction', vocabulary={{_base_.vocabulary}}, max_classes=80, plain_names=True)
train_pipeline = [
    dict(type='SeedBySample'),
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    {{_base_.flip}},
    {{_base_.resize_or_crop}},
    dict(ask, training=True, max_classes=70, subset_prob=0.0),
    dict(type='PackInstructionInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale={{_base_.image_scale}}, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    ask,
    dict(type='PackInstructionInputs'),
]
# The annotation files name the folders; they are listed here so that missing ones are found before the training.
train_dataloader = dict(
    dataset=dict(
        type='LVISV1Dataset',
        ann_file='lvis_v1/annotations/lvis_v1_train.json',
        data_prefix=dict(img='', train='train2017/'),
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        type='LVISV1Dataset',
        ann_file='lvis_v1/annotations/lvis_v1_val.json',
        # The validation set has images of both.
        data_prefix=dict(img='', train='train2017/', val='val2017/'),
        pipeline=test_pipeline,
    )
)
test_dataloader = val_dataloader

val_evaluator = dict(
    _delete_=True, type='LVISMetric', ann_file=data_root + 'lvis_v1/annotations/lvis_v1_val.json', metric='bbox'
)
test_evaluator = val_evaluator
