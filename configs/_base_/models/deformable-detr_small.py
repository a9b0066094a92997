# mmdet's own DeformableDETR with visionllm_small's backbone, neck, layers and queries.
_base_ = ['./deformable-detr_r18.py', './efficientnet_lite0.py']

model = dict(
    num_queries=100,
    data_preprocessor={{_base_.lite0_preprocessor}},
    backbone={{_base_.lite0_backbone}},
    neck=dict(in_channels={{_base_.lite0_channels}}),
)
