"""Measures the LLM alone: expressions and questions about image tokens that are simulated from annotations.

    python tools/evaluate_simulated_tokens.py CONFIG CHECKPOINT

Errors here do not come from the images. The config's ``simulated_tasks`` are data sets with ``objects``, by the names
of the test tasks whose metrics are used.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from _launch import add_shared_arguments, import_plugin, load_config, require_data, require_file

if TYPE_CHECKING:
    from mmdet.structures import SampleList
    from torch import Generator

    from visionllm_mm.models import VisionLLM


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--noise', type=float, default=0.3, help='as in the warm-up (default: 0.3)')
    parser.add_argument('--batch-size', type=int, default=32, help='samples at once (default: 32)')
    parser.add_argument('--work-dir', help='folder for logs')
    add_shared_arguments(parser, launcher=False)
    args = parser.parse_args()
    require_file(args.config, 'config')
    require_file(args.checkpoint, 'checkpoint')
    return args


def answer(model: VisionLLM, samples: SampleList, words: list[str], noise: float, generator: Generator) -> None:
    """Predicts from simulated image tokens, in place: ``pred_text``, or the tokens' boxes and scores in
    ``pred_instances``.

    Args:
        model: in evaluation mode.
        samples: with ``gt_instances`` and ``object_names``; their images are not loaded.
        words: distractor words, see :func:`simulate_tokens`.
        noise: norm of the noise on name embeddings, relative to theirs.
        generator: source of randomness.
    """
    import torch
    from mmengine.structures import InstanceData

    from visionllm_mm.models.text_decoding import generate
    from visionllm_mm.small_llm.simulated_tokens import simulate_tokens, simulated_targets

    decoder, count = model.task_decoder, model.image_tokenizer.num_tokens
    targets, names = simulated_targets(samples), [sample.object_names for sample in samples]
    slots = [torch.randperm(count, generator=generator)[: len(target)] for target in targets]
    inputs = simulate_tokens(decoder, names, targets, slots, words, count, noise, generator)
    instructions = model.parse_instructions(samples)
    if instructions[0].asks_for_text:
        histories = [sample.get('history', ()) for sample in samples]
        texts = generate(decoder, instructions, inputs, histories=histories, **model.generation)
        for sample, text in zip(samples, texts, strict=True):
            sample.pred_text = text
        return
    scores = decoder.class_logits(decoder.read(instructions, inputs)).softmax(dim=-1)[..., 0]
    for sample, target, slot, score in zip(samples, targets, slots, scores, strict=True):
        boxes = torch.zeros(count, 4)
        boxes[slot] = target.boxes_xyxy[:count].cpu()
        labels = torch.zeros(count, dtype=torch.long)
        sample.pred_instances = InstanceData(bboxes=boxes, scores=score.cpu(), labels=labels)


def main() -> None:
    args = parse_args()
    import_plugin()
    import numpy as np
    import torch
    from mmengine.evaluator import Evaluator
    from mmengine.runner import Runner

    cfg = load_config(args)
    if 'simulated_tasks' not in cfg:
        raise SystemExit(
            f'evaluate_simulated_tokens.py: {args.config} has no simulated_tasks; '
            'visionllm-tiny_miniscenes-multitask.py has'
        )
    require_data(cfg, 'simulated_tasks')
    cfg.load_from = args.checkpoint
    runner = Runner.from_cfg(cfg)
    runner.load_or_resume()
    model, generator = runner.model.eval(), torch.Generator().manual_seed(0)
    words = sorted(model.task_decoder.llm.plain_words())
    np.random.seed(0)
    for name, dataset in cfg.simulated_tasks.items():
        loader = Runner.build_dataloader(
            dict(
                batch_size=args.batch_size,
                num_workers=0,
                dataset=dataset,
                sampler=dict(type='DefaultSampler', shuffle=False),
            )
        )
        evaluator = Evaluator(cfg.test_cfg.tasks[name].evaluator)
        with torch.no_grad():
            for batch in loader:
                answer(model, batch['data_samples'], words, args.noise, generator)
                evaluator.process(data_samples=batch['data_samples'], data_batch=batch)
        for metric, value in evaluator.evaluate(len(loader.dataset)).items():
            print(f'{metric}: {value:.3f}')


if __name__ == '__main__':
    main()
