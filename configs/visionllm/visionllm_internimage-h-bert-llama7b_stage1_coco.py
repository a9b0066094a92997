# VisionLLM-H, stage 1. $INTERNIMAGE_H is the file of the backbone's official weights. There is no public Deformable
# DETR with this backbone to start from, so a loss ties tokens to the names of their classes.
_base_ = ['./visionllm_r50-bert-llama7b_stage1_coco.py']

load_from = None
model = dict(
    criterion=dict(loss_alignment=dict(type='AlignmentLoss', loss_weight=1.0, scale=10.0)),
    backbone=dict(
        _delete_=True,
        type='InternImage',
        arch='H',
        out_indices=(1, 2, 3),
        with_cp=True,
        init_cfg=dict(type='Pretrained', checkpoint='{{$INTERNIMAGE_H:checkpoints/internimage_h_jointto22k_384.pth}}'),
    ),
    neck=dict(in_channels=[640, 1280, 2560]),
)
