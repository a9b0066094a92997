# VisionLLM-R50, stage 1, with Llama 3.2 1B for LLaMA-7B. $LLM may name any other model of LLaMA's architecture; only
# tools/plan_memory.py needs the sizes in `planning`, and it reads those of a local folder by itself.
_base_ = ['./visionllm_r50-bert-llama7b_stage1_coco.py']

from visionllm_mm.config_files import from_environment  # noqa: E402

model = dict(llm=dict(path=from_environment('LLM', 'meta-llama/Llama-3.2-1B-Instruct')))
planning = dict(
    llm=dict(
        path='meta-llama/Llama-3.2-1B-Instruct',
        hidden_size=2048,
        intermediate_size=8192,
        num_hidden_layers=16,
        num_attention_heads=32,
        num_key_value_heads=8,
        vocab_size=128256,
        max_position_embeddings=131072,
        tie_word_embeddings=True,
    )
)
