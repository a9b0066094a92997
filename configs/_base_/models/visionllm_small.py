# visionllm_tiny.py behind a backbone that has seen ImageNet, for photographs.
_base_ = ['./visionllm_tiny.py', './efficientnet_lite0.py']

model = dict(
    data_preprocessor={{_base_.lite0_preprocessor}},
    backbone={{_base_.lite0_backbone}},
    neck=dict(in_channels={{_base_.lite0_channels}}),
)
