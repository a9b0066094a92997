# Stage 1 with small pretrained parts instead of random ones: MiniLM reads the instructions and SmolLM2-135M-Instruct,
# frozen but for LoRA, answers. As the paper's, it starts from vision parts that know how to find things:
#   python tools/convert_weights.py configs/visionllm/visionllm_r18-minilm-smollm2_miniscenes-stage1.py \
#       --visionllm checkpoints/visionllm-tiny_miniscenes-stage1.pth --out work_dirs/start/visionllm_r18.pth
#   BERT=/path/to/minilm LLM=/path/to/smollm2 python tools/train.py \
#       configs/visionllm/visionllm_r18-minilm-smollm2_miniscenes-stage1.py
_base_ = ['./visionllm-tiny_miniscenes-stage1.py', '../_base_/small_pretrained_language.py']

load_from = 'work_dirs/start/visionllm_r18.pth'
model = dict(
    text_encoder={{_base_.small_text_encoder}},
    llm={{_base_.small_llm}},
    # Aids of small LLMs that start from random weights, as in stage 2.
    criterion=dict(loss_outline=None),
    task_decoder=dict(place_points=False, class_words=True),
)
optim_wrapper = dict(
    constructor='TrainedPartsOptimWrapperConstructor',
    # What has learnt already changes slowly.
    paramwise_cfg=dict(
        custom_keys=dict(
            text_encoder=dict(lr_mult=0.1),
            backbone=dict(lr_mult=0.1),
            neck=dict(lr_mult=0.1),
            image_tokenizer=dict(lr_mult=0.2),
        )
    ),
)
# To look a name up, a pretrained LLM needs some steps, too: it has not seen class tokens yet. Text alone is cheaper.
custom_hooks = [
    dict(type='SampleSeedHook'),
    dict(type='CheckClassNamesHook', priority='VERY_HIGH'),
    dict(type='TextWarmupHook', num_iters=200, batch_size=8, lr=2e-3),
]

# What two CPU cores do in 25 minutes: 300 iterations, a third of them with each set of names.
train_dataloader = dict(
    sampler=dict(_delete_=True, type='OneTaskSampler', batch_size=8, ratios=(1, 1, 1), num_batches=100)
)
max_epochs = 3
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(
        type='CosineAnnealingLR',
        eta_min=0,
        begin=0,
        end=max_epochs,
        T_max=max_epochs,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
