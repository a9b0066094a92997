# visionllm-tiny on MiniScenes referring expressions: detection with the category set {expression: <c0>}.
_base_ = ['./visionllm-tiny_miniscenes-det.py']

from visionllm_mm.config_files import from_environment  # noqa: E402

# Long wavelengths of positions make it easier to compare which of two objects is further left.
model = dict(token_projector=dict(octaves=3))

train_pipeline = [
    dict(type='SeedBySample'),
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    # No flip: "left" would become wrong.
    dict(type='Resize', scale={{_base_.image_scale}}, keep_ratio=True),
    dict(type='GroundingInstruction', vocabulary={{_base_.vocabulary}}, training=True),
    dict(type='PackInstructionInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale={{_base_.image_scale}}, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='GroundingInstruction', vocabulary={{_base_.vocabulary}}),
    dict(type='PackInstructionInputs'),
]
data_root = from_environment('MINISCENES_ROOT', 'data/miniscenes') + '/'
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='MDETRStyleRefCocoDataset',
        data_root=data_root,
        ann_file='annotations/refexp_train.json',
        data_prefix=dict(img='train/'),
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='MDETRStyleRefCocoDataset',
        data_root=data_root,
        ann_file='annotations/refexp_val.json',
        data_prefix=dict(img='val/'),
        test_mode=True,
        pipeline=test_pipeline,
    )
)
test_dataloader = val_dataloader

val_evaluator = dict(_delete_=True, type='GroundingMetric', ann_file=data_root + 'annotations/refexp_val.json')
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='grounding/P@0.5'))
