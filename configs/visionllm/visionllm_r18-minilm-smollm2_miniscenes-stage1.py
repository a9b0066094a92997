# Stage 1 with small pretrained parts instead of random ones: MiniLM reads the instructions and SmolLM2-135M-Instruct,
# frozen but for LoRA, answers:
#   BERT=/path/to/minilm LLM=/path/to/smollm2 python tools/train.py \
#       configs/visionllm/visionllm_r18-minilm-smollm2_miniscenes-stage1.py
_base_ = ['./visionllm-tiny_miniscenes-stage1.py', '../_base_/small_pretrained_language.py']

model = dict(
    text_encoder={{_base_.small_text_encoder}},
    llm={{_base_.small_llm}},
    # Aids of small LLMs that start from random weights, as in stage 2.
    criterion=dict(loss_outline=None),
    task_decoder=dict(place_points=False))
optim_wrapper = dict(
    constructor='TrainedPartsOptimWrapperConstructor',
    paramwise_cfg=dict(custom_keys=dict(text_encoder=dict(lr_mult=0.1))))
# They have read enough; no text-only warm-up.
custom_hooks = [dict(type='SampleSeedHook'), dict(type='CheckClassNamesHook', priority='VERY_HIGH')]
