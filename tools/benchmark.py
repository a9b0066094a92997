"""Measures decoding times of the LLM: two passes against one, a cached instruction against a new one.

    python tools/benchmark.py configs/visionllm/visionllm-tiny_miniscenes-det.py --tokens 100 --kept 7

Weights are random: they do not change the time.
"""

import argparse
import statistics
import time
from collections.abc import Callable

from _launch import import_plugin, read_config, require_file


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('--tokens', type=int, default=100, help='M, image tokens (default: 100)')
    parser.add_argument('--kept', type=int, default=7, help='tokens whose points are decoded (default: 7)')
    parser.add_argument('--points', type=int, nargs='+', default=[2, 24], help='N, points per object (default: 2 24)')
    parser.add_argument('--batch', type=int, default=1, help='images per batch (default: 1)')
    parser.add_argument('--classes', type=int, default=8, help='classes in the instruction (default: 8)')
    parser.add_argument('--repeat', type=int, default=20, help='timed repetitions; the median counts (default: 20)')
    args = parser.parse_args()
    require_file(args.config, 'config')
    for name in ('tokens', 'kept', 'batch', 'classes', 'repeat'):
        if getattr(args, name) < 1:
            parser.error(f'--{name} must be at least 1, got {getattr(args, name)}')
    if args.kept > args.tokens:
        parser.error(f'--kept {args.kept} is more than --tokens {args.tokens}')
    return args


def median_ms(run: Callable[[], object], repeat: int) -> float:
    """Median wall-clock time of a call, ms, after two calls that are not counted."""
    times = []
    for i in range(repeat + 2):
        start = time.perf_counter()
        run()
        if i >= 2:
            times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def main() -> None:
    args = parse_args()
    import_plugin()
    import torch
    from mmdet.registry import MODELS
    from mmengine.registry import init_default_scope

    from visionllm_mm.instructions import (
        DETECTION_TEMPLATES,
        build_instruction,
        parse_instruction,
        point_format,
    )
    from visionllm_mm.models.one_pass import decode_one_pass

    cfg = read_config(args.config)
    init_default_scope('mmdet')
    model = MODELS.build(cfg.model).eval()
    decoder, vocabulary = model.task_decoder, model.vocabulary
    names = [f'class {i}' for i in range(args.classes)]
    inputs = torch.randn(args.batch, args.tokens, decoder.llm.embed_dims)
    kept = torch.arange(args.kept).expand(args.batch, -1)
    print(
        f'M = {args.tokens} tokens, {args.kept} kept, batch {args.batch}, {torch.get_num_threads()} threads, '
        f'LLM {decoder.llm.base.config.num_hidden_layers} x {decoder.llm.embed_dims}'
    )
    print('  N  queries one pass  two passes    ms one pass  two passes   ratio')
    with torch.no_grad():
        for num_points in args.points:
            text = build_instruction(DETECTION_TEMPLATES[0], names, point_format(num_points), vocabulary)
            instructions = [parse_instruction(text, vocabulary)] * args.batch

            def two_passes(instructions=instructions, num_points=num_points) -> object:
                decoder.text_cache.clear()
                return decoder.point_logits(decoder.read(instructions, inputs), kept, num_points)

            def one_pass(instructions=instructions, num_points=num_points) -> object:
                return decode_one_pass(decoder, instructions, inputs, num_points)

            one = median_ms(one_pass, args.repeat)
            two = median_ms(two_passes, args.repeat)
            queries = args.tokens * (1 + 2 * num_points), args.tokens + args.kept * 2 * num_points
            print(
                f'{num_points:>3}  {queries[0]:>16}  {queries[1]:>10}    {one:>11.1f}  {two:>10.1f}  {one / two:>6.2f}'
            )

        language = [instruction.language for instruction in instructions]

        def read_new() -> object:
            decoder.text_cache.clear()
            model.text_encoder._cache.clear()
            return model.text_encoder(language), decoder.read(instructions, inputs)

        new = median_ms(read_new, args.repeat)
        cached = median_ms(lambda: (model.text_encoder(language), decoder.read(instructions, inputs)), args.repeat)
    print(
        f'text encoder and pass 1: {new:.1f} ms with a new instruction, {cached:.1f} ms with the instruction cached, '
        f'ratio {new / cached:.2f}'
    )


if __name__ == '__main__':
    main()
