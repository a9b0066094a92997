# visionllm-tiny with a pretrained LLM, frozen but for LoRA, as in the paper. $LLM is the Hugging Face name or the
# folder of any model of LLaMA's architecture:
#   LLM=/path/to/folder python tools/train.py configs/visionllm/visionllm-tiny_pretrained-llm_miniscenes-det.py
_base_ = ['./visionllm-tiny_miniscenes-det.py', '../_base_/models/minilm_smollm2.py']

model = dict(llm={{_base_.small_llm}}, added_tokens=dict(class_words=True))
optim_wrapper = dict(constructor='TrainedPartsOptimWrapperConstructor')
# A pretrained LLM also has to learn class tokens, which are new to it (docs/decisions.md#text-only-warm-up).
default_hooks = dict(warmup=dict(num_iters=200, batch_size=8, lr=2e-3))
