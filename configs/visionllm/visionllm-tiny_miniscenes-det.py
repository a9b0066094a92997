# VisionLLM in small on MiniScenes detection, short schedule: 1000 iterations, under 10 minutes on 2 CPU cores.
_base_ = [
    '../_base_/visionllm_tiny.py',
    '../_base_/miniscenes_detection.py',
    '../_base_/schedule_short.py',
    '../_base_/default_runtime.py',
]

# Class names ask for no comparison of places, so their waves can be shorter, which makes boxes more precise.
model = dict(task_decoder=dict(place_octaves=6))

train_pipeline = [
    dict(type='SeedBySample'),
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Resize', scale={{_base_.image_scale}}, keep_ratio=True),
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

custom_hooks = [
    dict(type='SampleSeedHook'),
    dict(type='CheckClassNamesHook', priority='VERY_HIGH'),
    dict(type='TextWarmupHook'),
]
