# The released model of photographs: tree crowns from above. It was trained by
#   python tools/prepare_tree_crowns.py
#   DATA_ROOT=data/tree_crowns python tools/train.py configs/visionllm/visionllm-small_own-photos.py \
#       --cfg-options flip.prob=[0.25,0.25,0.25] flip.direction=[horizontal,vertical,diagonal] \
#       default_hooks.early_stopping=None randomness.seed=0
_base_ = ['../_base_/models/visionllm_small.py', '../_base_/default_runtime.py']

data_root = 'data/tree_crowns/'
classes = ('tree crown',)
image_scale = (256, 256)
vocabulary = dict(num_classes=64, coord_range=64, max_points=24)

# The weights have all of it.
model = dict(vocabulary=vocabulary, backbone=dict(init_cfg=None))

test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=image_scale, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='DetectionInstruction', vocabulary=vocabulary, classes=classes),
    dict(type='PackInstructionInputs'),
]
test_dataloader = dict(
    batch_size=8,
    num_workers=1,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='OwnCocoDataset',
        data_root=data_root,
        metainfo=dict(classes=classes),
        ann_file='val.json',
        data_prefix=dict(img='val/'),
        test_mode=True,
        return_classes=True,
        pipeline=test_pipeline,
    ),
)
test_evaluator = dict(
    type='OwnCocoMetric', ann_file=data_root + 'val.json', data_prefix=dict(img=data_root + 'val/'), metric='bbox'
)
test_cfg = dict(type='TolerantTestLoop')
