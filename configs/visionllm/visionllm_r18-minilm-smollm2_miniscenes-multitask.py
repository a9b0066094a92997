# Stage 2 with small pretrained parts, from the weights of stage 1 with the same LLM and text encoder:
#   BERT=/path/to/minilm LLM=/path/to/smollm2 python tools/train.py \
#       configs/visionllm/visionllm_r18-minilm-smollm2_miniscenes-multitask.py
_base_ = ['./visionllm-tiny_miniscenes-multitask.py', '../_base_/small_pretrained_language.py']

load_from = 'work_dirs/visionllm_r18-minilm-smollm2_miniscenes-stage1/epoch_3.pth'
model = dict(
    text_encoder={{_base_.small_text_encoder}},
    llm={{_base_.small_llm}},
    # It knows how to read a question, and needs neither phrases of it nor a warm-up on described scenes.
    criterion=dict(loss_asked=None, loss_outline=None),
    task_decoder=dict(
        start_with_question=False, asked_phrases=0, place_points=False, tell_objectness=False, class_words=True
    ),
)
optim_wrapper = dict(
    constructor='TrainedPartsOptimWrapperConstructor',
    paramwise_cfg=dict(custom_keys=dict(text_encoder=dict(lr_mult=0.1))),
)
custom_hooks = [dict(type='SampleSeedHook'), dict(type='CheckClassNamesHook', priority='VERY_HIGH')]

# 900 iterations, a checkpoint every 100; at about 9 s each, two hours and a quarter on two CPU cores.
train_dataloader = dict(sampler=dict(num_batches=100))
max_epochs = 9
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
