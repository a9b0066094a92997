# Like schedule_2e.py, for small folders of images: many epochs of few iterations.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=60, val_interval=60)
val_cfg = dict(type='TolerantValLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=1e-4, fused=True),
    # All weights start at random; the backbone learns fastest at this rate.
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=3.0)), bypass_duplicate=True),
    clip_grad=dict(max_norm=0.5, norm_type=2),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    # Until the last epoch, see train_cfg.
    dict(type='CosineAnnealingLR', eta_min=0, by_epoch=True, convert_to_iter_based=True),
]
auto_scale_lr = dict(enable=False, base_batch_size=8)
