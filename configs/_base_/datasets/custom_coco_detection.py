# Any COCO-format folder, $DATA_ROOT: train.json + train/ and val.json + val/; class names come from train.json.
_base_ = []  # before the import, or mmengine would take this for a config in its lazy-import style

from visionllm_mm.config_files import from_environment  # noqa: E402
from visionllm_mm.datasets import read_class_names  # noqa: E402

data_root = from_environment('DATA_ROOT', 'data/custom') + '/'
classes = read_class_names(data_root + 'train.json')
num_classes = len(classes)
metainfo = dict(classes=classes, palette='random')
image_scale = (256, 256)
vocabulary = dict(num_classes=64, coord_range=64, max_points=24)
# More classes are asked for in groups; those of 32 leave room for long names.
max_classes = 64 if num_classes <= 64 else 32

train_pipeline = [
    dict(type='SeedBySample'),
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomResize', scale=image_scale, ratio_range=(0.8, 1.25), keep_ratio=True),
    dict(type='RandomCrop', crop_size=image_scale, allow_negative_crop=True),
    dict(type='DetectionInstruction', vocabulary=vocabulary, max_classes=max_classes, training=True),
    dict(type='PackInstructionInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=image_scale, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='DetectionInstruction', vocabulary=vocabulary, max_classes=max_classes, classes=classes),
    dict(type='PackInstructionInputs'),
]
# For mmdet's own detectors: the same images without instructions.
plain_train_pipeline = [*train_pipeline[:-2], dict(type='PackDetInputs')]
plain_test_pipeline = [
    *test_pipeline[:-2],
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]

train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='OwnCocoDataset',
        data_root=data_root,
        metainfo=metainfo,
        ann_file='train.json',
        data_prefix=dict(img='train/'),
        # Images without objects are also training data.
        filter_cfg=dict(filter_empty_gt=False),
        return_classes=True,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='OwnCocoDataset',
        data_root=data_root,
        metainfo=metainfo,
        ann_file='val.json',
        data_prefix=dict(img='val/'),
        test_mode=True,
        return_classes=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(
    type='OwnCocoMetric', ann_file=data_root + 'val.json', data_prefix=dict(img=data_root + 'val/'), metric='bbox'
)
test_evaluator = val_evaluator
test_cfg = dict(type='TolerantTestLoop')
