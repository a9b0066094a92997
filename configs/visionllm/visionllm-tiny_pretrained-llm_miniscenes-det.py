# visionllm-tiny with a pretrained LLM, frozen but for LoRA, as in the paper. $LLM is the Hugging Face name or the
# folder of any model of LLaMA's architecture:
#   LLM=/path/to/folder python tools/train.py configs/visionllm/visionllm-tiny_pretrained-llm_miniscenes-det.py
_base_ = ['./visionllm-tiny_miniscenes-det.py', '../_base_/small_pretrained_language.py']

model = dict(llm={{_base_.small_llm}}, task_decoder=dict(class_words=True))
optim_wrapper = dict(constructor='TrainedPartsOptimWrapperConstructor')
# It has read enough; no text-only warm-up.
custom_hooks = [dict(type='SampleSeedHook'), dict(type='CheckClassNamesHook', priority='VERY_HIGH')]
