# Stage 1 of the multi-task model: detection alone, of shapes, colors and both together, so that the backbone, which
# stage 2 freezes, sees all that the other tasks speak of. 3000 iterations. The LLM has four layers instead of two, for
# comparisons such as "the leftmost star": the stars have to be found, then compared. Image tokens learn the outlines of
# what they show here, too, which needs no pass of the LLM: a frozen backbone that never saw them rounds them.
_base_ = ['./visionllm-tiny_miniscenes-det.py']

# Features at a quarter of the image size, where a star's points are still apart, and one encoder layer instead of two.
model = dict(
    backbone=dict(out_indices=(0, 1, 2, 3)),
    neck=dict(in_channels=[32, 64, 128, 256]),
    image_tokenizer=dict(encoder=dict(num_layers=1)),
    llm=dict(config=dict(num_hidden_layers=4)),
    task_decoder=dict(place_points=True, place_octaves=3),
    criterion=dict(loss_outline={{_base_.model.criterion.loss_location}}),
)

vocabulary = {{_base_.vocabulary}}
# The most that one instruction lists.
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
    dict(type='AddOutlines', num_points=(8, 24)),
    dict(type='PackInstructionInputs'),
]
train_set = dict(
    type='CocoDataset',
    data_root='{{$MINISCENES_ROOT:data/miniscenes}}/',
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

# Longer class sets are asked for in groups, as they were never seen in one instruction.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale={{_base_.image_scale}}, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='DetectionInstruction', vocabulary=vocabulary, classes={{_base_.classes}}, max_classes=max_classes),
    dict(type='PackInstructionInputs'),
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

# Each image is seen three times an epoch, once for each set of names.
max_epochs = 2
train_cfg = dict(max_epochs=max_epochs, val_interval=1)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(
        type='CosineAnnealingLR',
        eta_min=0,
        begin=0,
        end=max_epochs,
        T_max=max_epochs,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
