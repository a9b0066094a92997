# Stage 2 with small pretrained parts, from the weights of stage 1 with the same LLM and text encoder:
#   BERT=/path/to/minilm LLM=/path/to/smollm2 python tools/train.py \
#       configs/visionllm/visionllm_r18-minilm-smollm2_miniscenes-multitask.py
_base_ = [
    '../_base_/models/visionllm_r18_minilm_smollm2.py',
    '../_base_/datasets/miniscenes_multitask.py',
    '../_base_/schedules/schedule_2e.py',
    '../_base_/default_runtime.py',
]

load_from = 'work_dirs/visionllm_r18-minilm-smollm2_miniscenes-stage1/epoch_3.pth'
model = dict(
    vocabulary={{_base_.vocabulary}},
    backbone=dict(frozen_stages=4, norm_eval=True),
    auxiliary=dict(formats=dict(type='FormatLoss', loss_weight=1.0)),
    format_source='llm',
    test_cfg=dict(text=dict(max_length=60)),
)
optim_wrapper = dict(
    constructor='TrainedPartsOptimWrapperConstructor',
    optimizer=dict(lr=6e-4),
    paramwise_cfg=dict(custom_keys=dict(text_encoder=dict(lr_mult=0.1))),
)
# Which parameters get gradients depends on the task of the batch.
model_wrapper_cfg = dict(type='MMDistributedDataParallel', find_unused_parameters=True)

# 900 iterations, a checkpoint every 100; at about 9 s each, two hours and a quarter on two CPU cores.
train_dataloader = dict(sampler=dict(num_batches=100))
train_cfg = dict(max_epochs=9, val_interval=9)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', eta_min=0, by_epoch=True, convert_to_iter_based=True),
]
