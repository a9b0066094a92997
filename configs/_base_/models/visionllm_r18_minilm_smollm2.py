# The vision parts of the released model with MiniLM as the text encoder and SmolLM2-135M-Instruct as the LLM, frozen
# but for LoRA as in the paper; without hints for small LLMs.
_base_ = ['./visionllm_tiny.py', './minilm_smollm2.py']

model = dict(
    backbone=dict(out_indices=(0, 1, 2, 3)),
    neck=dict(in_channels=[32, 64, 128, 256]),
    image_tokenizer=dict(encoder=dict(num_layers=1)),
    text_encoder={{_base_.small_text_encoder}},
    llm={{_base_.small_llm}},
    added_tokens=dict(class_words=True),
)
