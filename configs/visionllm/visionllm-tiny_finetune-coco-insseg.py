# Instance segmentation on any COCO-format folder whose annotations have masks, from the released weights:
#   DATA_ROOT=dir python tools/train.py configs/visionllm/visionllm-tiny_finetune-coco-insseg.py
# While training, an instruction asks for 8 to 24 boundary points.
_base_ = ['./visionllm-tiny_finetune-coco.py']

model = dict(criterion=dict(loss_outline={{_base_.model.criterion.loss_location}}))

train_pipeline = [
    dict(type='SeedBySample'),
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomResize', scale={{_base_.image_scale}}, ratio_range=(0.8, 1.25), keep_ratio=True),
    dict(type='RandomCrop', crop_size={{_base_.image_scale}}, allow_negative_crop=True),
    dict(type='SegmentationInstruction', vocabulary={{_base_.vocabulary}}, num_points=(8, 24), training=True),
    dict(type='AddOutlines', num_points=(8, 24)),
    dict(type='PackInstructionInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale={{_base_.image_scale}}, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='SegmentationInstruction', vocabulary={{_base_.vocabulary}}, num_points=24, classes={{_base_.classes}}),
    dict(type='PackInstructionInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(metric=['bbox', 'segm'])
test_evaluator = val_evaluator
