# VisionLLM-H, stage 1, with gradients and AdamW's state shared among the GPUs (ZeRO 2) instead of DDP. Tested parts:
# docs/scale_out.md. It needs `pip install "deepspeed>=0.17,<0.18"`.
_base_ = [
    '../_base_/models/visionllm_internimage-h.py',
    '../_base_/datasets/coco_detection.py',
    '../_base_/schedules/schedule_25e.py',
    '../_base_/default_runtime.py',
]

# As in visionllm_internimage-h-bert-llama7b_stage1_coco.py.
model = dict(
    vocabulary={{_base_.vocabulary}},
    criterion=dict(loss_alignment=dict(type='AlignmentLoss', loss_weight=1.0, scale=10.0)),
)
runner_type = 'FlexibleRunner'
strategy = dict(
    type='DeepSpeedStrategy',
    zero_optimization=dict(stage=2),
    # Instead of AmpOptimWrapper and clip_grad.
    config=dict(torch_autocast=dict(enabled=True, dtype='bfloat16')),
    gradient_clipping=0.1,
    # The frozen LLM stays out of the checkpoints.
    exclude_frozen_parameters=True,
)
optim_wrapper = dict(
    _delete_=True,
    type='DeepSpeedOptimWrapper',
    constructor='TrainedPartsOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=2e-4, weight_decay=1e-4),
)
# A checkpoint is two files: weights (0.93 GB of VisionLLM-R50) and what only a run that resumes reads (1.86 GB).
default_hooks = dict(optimizer_file=dict(type='OptimizerFileHook'))
