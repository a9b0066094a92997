# EfficientNet-Lite0, 3.0 M weights that have seen ImageNet, for VisionLLM and for the detectors beside it. The released
# model of rendered scenes has them unchanged. Mean and standard deviation are those that they were trained with.
lite0_preprocessor = dict(mean=[127.0, 127.0, 127.0], std=[128.0, 128.0, 128.0])
lite0_backbone = dict(
    _delete_=True,
    type='EfficientNetLite',
    out_indices=(3, 4, 5),
    frozen_stages=4,
    norm_eval=True,
    init_cfg=dict(type='Pretrained', checkpoint='checkpoints/visionllm-small_miniscenes.pth', prefix='backbone.'),
)
lite0_channels = [40, 112, 320]
