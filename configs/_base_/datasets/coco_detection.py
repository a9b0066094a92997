# Data of stage 1: COCO 2017 detection at full size. docs/data.md has the layout of $COCO_ROOT.
_base_ = []  # before the imports, or mmengine would take this for a config in its lazy-import style

import visionllm_mm  # noqa: E402, F401, I001 (before mmdet)
import mmdet.datasets  # noqa: E402

from visionllm_mm.config_files import from_environment  # noqa: E402

data_root = from_environment('COCO_ROOT', 'data/coco') + '/'
# The model takes its vocabulary from here: both have to be the same.
vocabulary = dict(num_classes=512, coord_range=512, max_points=24)
image_scale = (1333, 800)

# Multi-scale augmentation of Deformable DETR.
scales = [(side, 1333) for side in range(480, 801, 32)]
resize = dict(type='RandomChoiceResize', scales=scales, keep_ratio=True)
flip = dict(type='RandomFlip', prob=0.5)
resize_or_crop = dict(
    type='RandomChoice',
    transforms=[
        [resize],
        [
            dict(type='RandomChoiceResize', scales=[(400, 4200), (500, 4200), (600, 4200)], keep_ratio=True),
            dict(type='RandomCrop', crop_type='absolute_range', crop_size=(384, 600), allow_negative_crop=True),
            resize,
        ],
    ],
)

train_pipeline = [
    dict(type='SeedBySample'),
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    flip,
    resize_or_crop,
    dict(type='DetectionInstruction', vocabulary=vocabulary, training=True),
    dict(type='PackInstructionInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=image_scale, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='DetectionInstruction',
        vocabulary=vocabulary,
        # For inference; in tests the data set brings its classes.
        classes=mmdet.datasets.CocoDataset.METAINFO['classes'],
    ),
    dict(type='PackInstructionInputs'),
]

# The paper: 32 GPUs with 1 image each.
train_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='CocoDataset',
        data_root=data_root,
        # Without the images that RefCOCO tests on: stage 2 starts from these weights (tools/remove_refcoco_images.py).
        ann_file='annotations/instances_train2017_norefcoco.json',
        data_prefix=dict(img='train2017/'),
        # Images without objects are also training data.
        filter_cfg=dict(filter_empty_gt=False),
        return_classes=True,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CocoDataset',
        data_root=data_root,
        ann_file='annotations/instances_val2017.json',
        data_prefix=dict(img='val2017/'),
        test_mode=True,
        return_classes=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type='CocoMetric', ann_file=data_root + 'annotations/instances_val2017.json', metric='bbox')
test_evaluator = val_evaluator
test_cfg = dict(type='TolerantTestLoop')
