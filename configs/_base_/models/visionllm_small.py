# visionllm_tiny.py behind a backbone that has seen ImageNet: EfficientNet-Lite0, 3.0 M weights, for photographs.
#   python tools/get_pretrained.py
# writes its weights.
_base_ = './visionllm_tiny.py'

model = dict(
    # Those that the weights were trained with, in the order of RGB.
    data_preprocessor=dict(mean=[127.0, 127.0, 127.0], std=[128.0, 128.0, 128.0]),
    backbone=dict(
        _delete_=True,
        type='EfficientNetLite',
        out_indices=(3, 4, 5),
        frozen_stages=3,
        norm_eval=True,
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/pretrained/efficientnet-lite0.pth'),
    ),
    neck=dict(in_channels=[40, 112, 320]),
)
