# Polygons on your own photographs: visionllm-small_own-photos.py for annotations with masks.
#   DATA_ROOT=dir python tools/check_dataset.py dir --polygons
#   DATA_ROOT=dir python tools/train.py configs/visionllm/visionllm-small_own-photos-insseg.py
# While training, an instruction asks for 8 to 24 polygon points.
_base_ = [
    '../_base_/models/visionllm_small.py',
    '../_base_/datasets/own_photos_detection.py',
    '../_base_/schedules/schedule_own_photos.py',
]

load_from = {{_base_.own_weights}}
model = dict(vocabulary={{_base_.vocabulary}})

train_pipeline = [
    dict(type='SeedBySample'),
    dict(type='LoadImageFromFile'),
    dict(type='LoadKnownMasks', with_bbox=True, with_mask=True),
    {{_base_.flip}},
    dict(type='PhotoMetricDistortion'),
    dict(type='RandomResize', scale={{_base_.image_scale}}, ratio_range=(0.6, 1.6), keep_ratio=True),
    dict(type='RandomCrop', crop_size={{_base_.image_scale}}, allow_negative_crop=True),
    dict(
        type='SegmentationInstruction',
        vocabulary={{_base_.vocabulary}},
        num_points=(8, 24),
        max_classes={{_base_.max_classes}},
        training=True,
    ),
    dict(type='AddPolygons', num_points=(8, 24)),
    dict(type='PackInstructionInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale={{_base_.image_scale}}, keep_ratio=True),
    dict(type='LoadKnownMasks', with_bbox=True, with_mask=True),
    dict(
        type='SegmentationInstruction',
        vocabulary={{_base_.vocabulary}},
        num_points=24,
        max_classes={{_base_.max_classes}},
        classes={{_base_.classes}},
    ),
    dict(type='PackInstructionInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(metric=['bbox', 'segm'])
test_evaluator = val_evaluator

default_hooks = dict(warmup={{_base_.own_warmup}})
