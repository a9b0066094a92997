# Stage 1 with small pretrained parts instead of random ones: MiniLM reads the instructions and SmolLM2-135M-Instruct,
# frozen but for LoRA, answers. As in the paper, it starts from vision parts that are trained for detection:
#   python tools/convert_weights.py configs/visionllm/visionllm_r18-minilm-smollm2_miniscenes-stage1.py \
#       --visionllm checkpoints/visionllm-tiny_miniscenes-stage1.pth --out work_dirs/start/visionllm_r18.pth
#   BERT=/path/to/minilm LLM=/path/to/smollm2 python tools/train.py \
#       configs/visionllm/visionllm_r18-minilm-smollm2_miniscenes-stage1.py
_base_ = [
    '../_base_/models/visionllm_r18_minilm_smollm2.py',
    '../_base_/datasets/miniscenes_stage1.py',
    '../_base_/schedules/schedule_2e.py',
    '../_base_/default_runtime.py',
]

load_from = 'work_dirs/start/visionllm_r18.pth'
model = dict(vocabulary={{_base_.vocabulary}})
optim_wrapper = dict(
    constructor='TrainedPartsOptimWrapperConstructor',
    # Lower learning rates for parts that are trained already.
    paramwise_cfg=dict(
        custom_keys=dict(
            text_encoder=dict(lr_mult=0.1),
            backbone=dict(lr_mult=0.1),
            neck=dict(lr_mult=0.1),
            image_tokenizer=dict(lr_mult=0.2),
        )
    ),
)
# A pretrained LLM also has to learn class tokens, which are new to it. Text alone is cheaper than images.
default_hooks = dict(warmup=dict(type='TextWarmupHook', num_iters=200, batch_size=8, lr=2e-3))

# 25 minutes on two CPU cores: 300 iterations, a third of them with each set of names.
train_dataloader = dict(
    sampler=dict(_delete_=True, type='OneTaskSampler', batch_size=8, ratios=(1, 1, 1), num_batches=100)
)
train_cfg = dict(max_epochs=3, val_interval=3)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', eta_min=0, by_epoch=True, convert_to_iter_based=True),
]
