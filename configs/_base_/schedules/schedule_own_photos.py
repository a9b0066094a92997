# For own photographs, 50 to 5,000: as many epochs as make up a training of one length, and 12 measurements of box AP.
# It holds the runtime, too, whose hooks depend on the number of epochs.
_base_ = ['../default_runtime.py']

from visionllm_mm.config_files import from_environment  # noqa: E402
from visionllm_mm.datasets import epochs_for  # noqa: E402

# Names take longer than boxes.
max_epochs = epochs_for(
    from_environment('DATA_ROOT', 'data/custom') + '/train.json',
    samples=6400,
    samples_with_names=9600,
    fewest=6,
    most=320,
)
val_interval = max(1, max_epochs // 12)

default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(interval=val_interval),
    # What is measured and kept is a moving average of the weights.
    moving_average=dict(type='EMAHook', ema_type='TrainedPartsEMA', momentum=0.004),
    early_stopping=dict(type='EarlyStoppingHook', monitor='coco/bbox_mAP', rule='greater', patience=6, min_delta=0.001),
)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=val_interval)
val_cfg = dict(type='TolerantValLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=1e-4, fused=True),
    # The backbone has learned from a million pictures.
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1)), bypass_duplicate=True),
    clip_grad=dict(max_norm=0.5, norm_type=2),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    # Until the last epoch, see train_cfg.
    dict(type='CosineAnnealingLR', eta_min=0, by_epoch=True, convert_to_iter_based=True),
]
auto_scale_lr = dict(enable=False, base_batch_size=8)
