# Instance segmentation on any COCO-format folder whose annotations have masks, from the released weights:
#   DATA_ROOT=dir python tools/train.py configs/visionllm/visionllm-tiny_finetune-coco-insseg.py
# While training, an instruction asks for 8 to 24 polygon points.
_base_ = [
    '../_base_/models/visionllm_tiny_multitask.py',
    '../_base_/datasets/custom_coco_detection.py',
    '../_base_/schedules/schedule_60e.py',
    '../_base_/default_runtime.py',
]

from visionllm_mm.config_files import from_environment  # noqa: E402

load_from = from_environment('WEIGHTS', 'checkpoints/visionllm-tiny_miniscenes-multitask.pth')
model = dict(
    vocabulary={{_base_.vocabulary}},
    image_tokenizer=dict(num_tokens=50),
    auxiliary=dict(polygons=dict(loss=dict(loss_weight=1.0, error_weight=20.0)), phrases=None, formats=None),
    format_source='rule',
)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=10), warmup=dict(type='TextWarmupHook'))

train_cfg = dict(max_epochs=30, val_interval=10)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', eta_min=0, by_epoch=True, convert_to_iter_based=True),
]

train_pipeline = [
    dict(type='SeedBySample'),
    dict(type='LoadImageFromFile'),
    dict(type='LoadKnownMasks', with_bbox=True, with_mask=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomResize', scale={{_base_.image_scale}}, ratio_range=(0.8, 1.25), keep_ratio=True),
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
