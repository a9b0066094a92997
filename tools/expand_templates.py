"""Expands the templates with an instruction-tuned LLM (self-instruct), into a file that configs can use.

    python tools/expand_templates.py LLM --task detection --count 50 --out templates.json

LLM is a Hugging Face name or a folder. Templates are checked for their placeholders and must differ from known ones.
A config uses the file with templates='templates.json' in its instruction transforms.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from _launch import import_plugin

TASKS = ('detection', 'segmentation', 'grounding', 'keypoints', 'caption', 'question')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('llm', help='Hugging Face name or folder of a causal LM')
    parser.add_argument('--task', nargs='+', choices=TASKS, default=list(TASKS), help='tasks (default: all)')
    parser.add_argument('--count', type=int, default=50, help='new templates per task (default: 50)')
    parser.add_argument('--max-rounds', type=int, default=200, help='largest number of prompts per task (default: 200)')
    parser.add_argument('--out', required=True, help='JSON file; templates in it are kept')
    parser.add_argument('--seed', type=int, default=0)
    return parser.parse_args()


def load_generator(path: str, seed: int):
    """A function that maps a prompt to the text that the LLM generates."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from visionllm_mm.models.pretrained.hugging_face import load_pretrained

    model = load_pretrained(AutoModelForCausalLM, path).eval()
    tokenizer = load_pretrained(AutoTokenizer, path)
    torch.manual_seed(seed)

    def generate(prompt: str) -> str:
        if tokenizer.chat_template:
            inputs = tokenizer.apply_chat_template(
                [dict(role='user', content=prompt)], add_generation_prompt=True, return_tensors='pt', return_dict=True
            )
        else:
            inputs = tokenizer(prompt, return_tensors='pt')
        inputs.pop('token_type_ids', None)
        with torch.inference_mode():
            output = model.generate(
                **inputs,
                max_new_tokens=300,
                do_sample=True,
                temperature=0.9,
                top_p=0.95,
                pad_token_id=tokenizer.eos_token_id,
            )
        return tokenizer.decode(output[0, inputs['input_ids'].shape[1] :], skip_special_tokens=True)

    return generate


def main() -> None:
    args = parse_args()
    import_plugin()
    from visionllm_mm.instructions.expansion import expand_templates

    generate = load_generator(args.llm, args.seed)
    path = Path(args.out)
    templates = json.loads(path.read_text(encoding='utf-8')) if path.is_file() else {}
    rng = np.random.default_rng(args.seed)
    for task in args.task:
        existing = templates.get(task, [])
        new, refused = expand_templates(task, args.count, generate, rng, known=existing, max_rounds=args.max_rounds)
        templates[task] = [*existing, *new]
        path.write_text(json.dumps(templates, indent=1, ensure_ascii=False) + '\n', encoding='utf-8')
        print(f'{task}: {len(new)} new templates, {refused} lines refused or known', flush=True)
    if not any(templates.values()):
        sys.exit(f'{args.llm} wrote no usable template: take a larger instruction-tuned model, or more --max-rounds')


if __name__ == '__main__':
    main()
