# visionllm-tiny on MiniScenes instance segmentation, short schedule. The instruction states the number of polygon
# points: 8 to 24 while training, num_points while evaluating.
_base_ = ['./visionllm-tiny_miniscenes-det.py']

num_points = 24
train_pipeline = [
    dict(type='SeedBySample'),
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Resize', scale={{_base_.image_scale}}, keep_ratio=True),
    dict(type='SegmentationInstruction', vocabulary={{_base_.vocabulary}}, num_points=(8, 24), training=True),
    dict(type='PackInstructionInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale={{_base_.image_scale}}, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='SegmentationInstruction',
        vocabulary={{_base_.vocabulary}},
        num_points=num_points,
        classes={{_base_.classes}},
    ),
    dict(type='PackInstructionInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(metric=['bbox', 'segm'])
test_evaluator = val_evaluator
