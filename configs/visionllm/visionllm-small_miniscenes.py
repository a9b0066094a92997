# The start of the configs for own photographs: visionllm-small learns boxes, polygons and names on rendered scenes. Its
# backbone has seen ImageNet and stays as it is: what the other parts learn holds for photographs, too.
#   python tools/get_pretrained.py
#   python tools/prepare_miniscenes.py
#   python tools/train.py configs/visionllm/visionllm-small_miniscenes.py
_base_ = [
    '../_base_/models/visionllm_small.py',
    '../_base_/datasets/miniscenes_stage1.py',
    '../_base_/schedules/schedule_2e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    vocabulary={{_base_.vocabulary}},
    backbone=dict(
        frozen_stages=6,
        init_cfg=dict(_delete_=True, type='Pretrained', checkpoint='work_dirs/pretrained/efficientnet-lite0.pth'),
    ),
)

from visionllm_mm.config_files import from_environment  # noqa: E402

load = [
    dict(type='SeedBySample'),
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomFlip', prob=0.5),
    # Objects in several sizes, some of them cut off.
    dict(type='RandomResize', scale={{_base_.image_scale}}, ratio_range=(0.8, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(176, 176), allow_negative_crop=True),
]
detect = dict(
    type='DetectionInstruction', vocabulary={{_base_.vocabulary}}, max_classes={{_base_.max_classes}}, training=True
)
segment = dict(detect, type='SegmentationInstruction', num_points=(8, 24))
pack = [dict(type='AddPolygons', num_points=(8, 24)), dict(type='PackInstructionInputs')]
train_set = dict(
    type='CocoDataset',
    data_root=from_environment('MINISCENES_ROOT', 'data/miniscenes') + '/',
    data_prefix=dict(img='train/'),
    filter_cfg=dict(filter_empty_gt=False),
    return_classes=True,
    pipeline=[*load, detect, *pack],
)
of_shapes = dict(metainfo=dict(classes={{_base_.shapes}}), ann_file='annotations/instances_train.json')
of_colors = dict(metainfo=dict(classes={{_base_.colors}}), ann_file='annotations/instances_colors_train.json')
of_pairs = dict(metainfo=dict(classes={{_base_.seen_pairs}}), ann_file='annotations/instances_pairs_train.json')
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[
            dict(train_set, **of_shapes),
            dict(train_set, **of_colors),
            dict(train_set, **of_pairs),
            dict(train_set, pipeline=[*load, segment, *pack], **of_shapes),
        ],
    )
)
default_hooks = dict(warmup=dict(type='TextWarmupHook'))
train_cfg = dict(max_epochs=1, val_interval=1)
