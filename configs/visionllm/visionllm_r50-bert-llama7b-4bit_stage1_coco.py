# VisionLLM-R50, stage 1, with the frozen LLM in 4 bits (QLoRA, arXiv 2305.14314): 3.5 GB instead of 13.5 on each GPU.
# It needs `pip install bitsandbytes`. Stage 2 takes the same setting.
_base_ = ['./visionllm_r50-bert-llama7b_stage1_coco.py']

model = dict(
    llm=dict(quantization=dict(load_in_4bit=True, bnb_4bit_quant_type='nf4', bnb_4bit_compute_dtype='bfloat16'))
)
