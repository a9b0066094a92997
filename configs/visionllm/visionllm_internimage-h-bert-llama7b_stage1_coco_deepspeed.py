# VisionLLM-H, stage 1, with gradients and AdamW's state shared among the GPUs (ZeRO 2) instead of DDP. What of it ran
# is in docs/scale_out.md. It needs `pip install "deepspeed>=0.17,<0.18"`.
_base_ = ['./visionllm_internimage-h-bert-llama7b_stage1_coco.py']

runner_type = 'FlexibleRunner'
strategy = dict(
    type='DeepSpeedStrategy',
    zero_optimization=dict(stage=2),
    # In the place of AmpOptimWrapper and clip_grad.
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
