# VisionLLM in small on any COCO-format folder:
#   DATA_ROOT=dir python tools/train.py configs/visionllm/visionllm-tiny_custom-coco.py
# reads dir/train.json + dir/train/ and dir/val.json + dir/val/. Class names come from dir/train.json.
_base_ = ['./visionllm-tiny_miniscenes-det.py']

from visionllm_mm.datasets import read_class_names  # noqa: E402

data_root = '{{$DATA_ROOT:data/custom}}/'
classes = read_class_names(data_root + 'train.json')
metainfo = dict(classes=classes, palette='random')
image_scale = (256, 256)
max_epochs = 60
num_tokens = 50

model = dict(image_tokenizer=dict(num_tokens=num_tokens))

train_pipeline = [
    dict(type='SeedBySample'),
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomResize', scale=image_scale, ratio_range=(0.8, 1.25), keep_ratio=True),
    dict(type='RandomCrop', crop_size=image_scale, allow_negative_crop=True),
    dict(type='DetectionInstruction', vocabulary={{_base_.vocabulary}}, training=True),
    dict(type='PackInstructionInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=image_scale, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='DetectionInstruction', vocabulary={{_base_.vocabulary}}, classes=classes),
    dict(type='PackInstructionInputs')
]
train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        data_root=data_root, metainfo=metainfo, ann_file='train.json', data_prefix=dict(img='train/'),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=8,
    dataset=dict(
        data_root=data_root, metainfo=metainfo, ann_file='val.json', data_prefix=dict(img='val/'),
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'val.json')
test_evaluator = val_evaluator

train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', eta_min=0, begin=0, end=max_epochs, T_max=max_epochs, by_epoch=True,
         convert_to_iter_based=True)
]
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=10))
