# Data of stage 1 on MiniScenes: detection of shapes, of colors and of pairs of both. Each image is seen three times an
# epoch, once for each set of names.
_base_ = ['./miniscenes_detection.py']

from visionllm_mm.config_files import from_environment  # noqa: E402

vocabulary = {{_base_.vocabulary}}
# The largest number of classes in one instruction.
max_classes = 16
colors = ('red', 'green', 'blue', 'yellow', 'purple', 'orange', 'cyan', 'white')
shapes = ('circle', 'square', 'triangle', 'star', 'ring', 'cross', 'crescent', 'heart')
# These occur neither in the images nor in the texts of the training set, and no training instruction names them.
unseen_pairs = (
    'red star',
    'green heart',
    'blue triangle',
    'yellow ring',
    'purple square',
    'orange crescent',
    'cyan circle',
    'white cross',
)
pairs = tuple(f'{color} {shape}' for color in colors for shape in shapes)
seen_pairs = tuple(pair for pair in pairs if pair not in unseen_pairs)

train_pipeline = [
    dict(type='SeedBySample'),
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Resize', scale={{_base_.image_scale}}, keep_ratio=True),
    dict(type='DetectionInstruction', vocabulary=vocabulary, max_classes=max_classes, training=True),
    dict(type='AddPolygons', num_points=(8, 24)),
    dict(type='PackInstructionInputs'),
]
train_set = dict(
    type='CocoDataset',
    data_root=from_environment('MINISCENES_ROOT', 'data/miniscenes') + '/',
    data_prefix=dict(img='train/'),
    filter_cfg=dict(filter_empty_gt=False),
    return_classes=True,
    pipeline=train_pipeline,
)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[
            dict(train_set, metainfo=dict(classes=shapes), ann_file='annotations/instances_train.json'),
            dict(train_set, metainfo=dict(classes=colors), ann_file='annotations/instances_colors_train.json'),
            dict(train_set, metainfo=dict(classes=seen_pairs), ann_file='annotations/instances_pairs_train.json'),
        ],
    )
)

# Longer class sets are asked for in groups, because no training instruction lists more classes.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale={{_base_.image_scale}}, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='DetectionInstruction', vocabulary=vocabulary, classes={{_base_.classes}}, max_classes=max_classes),
    dict(type='PackInstructionInputs'),
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
