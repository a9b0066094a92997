# custom_coco_detection.py for photographs: objects in all sizes, other light.
_base_ = ['./custom_coco_detection.py']

# prob=0.0 where the mirror image of an object is another class, as of letters. From above, also upside down:
# dict(type='RandomFlip', prob=[0.25, 0.25, 0.25], direction=['horizontal', 'vertical', 'diagonal'])
flip = dict(type='RandomFlip', prob=0.5)

train_pipeline = [
    dict(type='SeedBySample'),
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    flip,
    dict(type='PhotoMetricDistortion'),
    dict(type='RandomResize', scale={{_base_.image_scale}}, ratio_range=(0.6, 1.6), keep_ratio=True),
    dict(type='RandomCrop', crop_size={{_base_.image_scale}}, allow_negative_crop=True),
    dict(
        type='DetectionInstruction',
        vocabulary={{_base_.vocabulary}},
        max_classes={{_base_.max_classes}},
        training=True,
    ),
    dict(type='PackInstructionInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale={{_base_.image_scale}}, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='DetectionInstruction',
        vocabulary={{_base_.vocabulary}},
        max_classes={{_base_.max_classes}},
        classes={{_base_.classes}},
    ),
    dict(type='PackInstructionInputs'),
]
# For mmdet's own detectors: the same images without instructions.
plain_train_pipeline = [*train_pipeline[:-2], dict(type='PackDetInputs')]
plain_test_pipeline = [
    *test_pipeline[:-2],
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
