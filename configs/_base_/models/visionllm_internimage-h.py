# VisionLLM-H: VisionLLM-R50 with InternImage-H. $INTERNIMAGE_H is the file of the backbone's official weights.
_base_ = ['./visionllm_r50.py']

from visionllm_mm.config_files import from_environment  # noqa: E402

model = dict(
    backbone=dict(
        _delete_=True,
        type='InternImage',
        arch='H',
        out_indices=(1, 2, 3),
        with_cp=True,
        init_cfg=dict(
            type='Pretrained',
            checkpoint=from_environment('INTERNIMAGE_H', 'checkpoints/internimage_h_jointto22k_384.pth'),
        ),
    ),
    neck=dict(in_channels=[640, 1280, 2560]),
)
