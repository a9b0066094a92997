# visionllm-tiny with a pretrained LLM, frozen but for LoRA, as in the paper. $LLM is the Hugging Face name or the
# folder of any model of LLaMA's architecture:
#   LLM=/path/to/folder python tools/train.py configs/visionllm/visionllm-tiny_pretrained-llm_miniscenes-det.py
_base_ = ['./visionllm-tiny_miniscenes-det.py']

model = dict(
    llm=dict(
        _delete_=True,
        type='CausalLM',
        path='{{$LLM:HuggingFaceTB/SmolLM2-135M-Instruct}}',
        freeze=True,
        lora=dict(r=64, lora_alpha=16, target_modules=['q_proj', 'k_proj', 'v_proj', 'o_proj'])))
optim_wrapper = dict(constructor='TrainedPartsOptimWrapperConstructor')
# It has read enough; no text-only warm-up.
custom_hooks = [dict(type='SampleSeedHook'), dict(type='CheckClassNamesHook', priority='VERY_HIGH')]
