# VisionLLM in small on any COCO-format folder:
#   DATA_ROOT=dir python tools/train.py configs/visionllm/visionllm-tiny_custom-coco.py
# reads dir/train.json + dir/train/ and dir/val.json + dir/val/. Class names come from dir/train.json.
_base_ = [
    '../_base_/visionllm_tiny.py',
    '../_base_/custom_coco_detection.py',
    '../_base_/schedule_60e.py',
    '../_base_/default_runtime.py',
]

num_tokens = 50
model = dict(image_tokenizer=dict(num_tokens=num_tokens), task_decoder=dict(place_octaves=6))

train_pipeline = [
    dict(type='SeedBySample'),
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomResize', scale={{_base_.image_scale}}, ratio_range=(0.8, 1.25), keep_ratio=True),
    dict(type='RandomCrop', crop_size={{_base_.image_scale}}, allow_negative_crop=True),
    dict(type='DetectionInstruction', vocabulary={{_base_.vocabulary}}, training=True),
    dict(type='PackInstructionInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale={{_base_.image_scale}}, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='DetectionInstruction', vocabulary={{_base_.vocabulary}}, classes={{_base_.classes}}),
    dict(type='PackInstructionInputs'),
]
train_dataloader = dict(dataset=dict(return_classes=True, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(return_classes=True, pipeline=test_pipeline))
test_dataloader = val_dataloader

default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=10))
custom_hooks = [
    dict(type='SampleSeedHook'),
    dict(type='CheckClassNamesHook', priority='VERY_HIGH'),
    dict(type='TextWarmupHook'),
]
