# MiniLM, of BERT's architecture, as the text encoder, and SmolLM2-135M-Instruct, of LLaMA's, frozen but for LoRA, as
# the LLM. $BERT and $LLM name them on the Hugging Face hub, or are folders (docs/weights.md makes some without it).
_base_ = []  # before the import, or mmengine would take this for a config in its lazy-import style

from visionllm_mm.config_files import from_environment  # noqa: E402

small_text_encoder = dict(
    _delete_=True, type='TextEncoder', path=from_environment('BERT', 'sentence-transformers/all-MiniLM-L6-v2')
)
small_llm = dict(
    _delete_=True,
    type='CausalLM',
    path=from_environment('LLM', 'HuggingFaceTB/SmolLM2-135M-Instruct'),
    freeze=True,
    dtype='bfloat16',
    # Twice r: the learning rate, too, differs from that of a 7B LLM.
    lora=dict(r=64, lora_alpha=128, target_modules=['q_proj', 'k_proj', 'v_proj', 'o_proj']),
)

# The models at these paths, for tools/plan_memory.py, which loads no weights.
planning = dict(
    llm=dict(
        path='HuggingFaceTB/SmolLM2-135M-Instruct',
        model_type='llama',
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        vocab_size=49152,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
    ),
    text_encoder=dict(
        path='sentence-transformers/all-MiniLM-L6-v2',
        model_type='bert',
        hidden_size=384,
        intermediate_size=1536,
        num_hidden_layers=6,
        num_attention_heads=12,
        vocab_size=30522,
        max_position_embeddings=512,
    ),
)
