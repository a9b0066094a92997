# The LLM and the text encoder of the configs for own photographs. Without $LLM and $BERT these settings are empty: the
# small ones of visionllm_tiny.py. With them, pretrained ones, from folders (docs/weights.md makes some) or by their
# names on the Hugging Face hub; the LLM is frozen but for LoRA. A GPU is advised. $WEIGHTS: what training starts from.
_base_ = []  # before the import, or mmengine would take this for a config in its lazy-import style

import torch  # noqa: E402

from visionllm_mm.config_files import from_environment  # noqa: E402

llm_path = from_environment('LLM', '')
bert_path = from_environment('BERT', '')

own_llm = dict()
own_added_tokens = dict()
own_warmup = dict(type='TextWarmupHook')
own_weights = 'checkpoints/visionllm-small_miniscenes.pth'
if llm_path or bert_path:
    own_weights = 'work_dirs/start/visionllm-small_own-photos.pth'  # tools/convert_weights.py writes it
own_weights = from_environment('WEIGHTS', own_weights)
if llm_path:
    own_llm = dict(
        _delete_=True,
        type='CausalLM',
        path=llm_path,
        freeze=True,
        # CPUs without bfloat16 of their own take 40 times as long for its gradients.
        dtype='bfloat16' if torch.cuda.is_available() else 'float32',
        # Twice r: the learning rate, too, differs from that of a 7B LLM.
        lora=dict(r=64, lora_alpha=128, target_modules=['q_proj', 'k_proj', 'v_proj', 'o_proj']),
    )
    own_added_tokens = dict(class_words=True)
    own_warmup = dict(type='TextWarmupHook', num_iters=200, batch_size=8, lr=2e-3)
own_text_encoder = dict(_delete_=True, type='TextEncoder', path=bert_path) if bert_path else dict()
# Helper variables are deleted: nothing else reads them.
del llm_path, bert_path
