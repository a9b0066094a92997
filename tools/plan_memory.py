"""Computes in seconds, without weights or network, the parameters, operations, memory and checkpoint of a config.

    python tools/plan_memory.py configs/visionllm/visionllm_r50-bert-llama7b_stage1_coco.py --gpus 32 --batch 1

docs/planning.md states what is counted. --measure also trains a few steps on the CPU of this machine and compares.
"""

import argparse
import json
import sys

from _launch import import_plugin, keep_freed_memory, parse_options, read_config, require_file


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file of a VisionLLM')
    parser.add_argument('--gpus', type=int, default=1, help='processes of data-parallel training (default: 1)')
    parser.add_argument('--batch', type=int, default=1, help='images per GPU (default: 1)')
    parser.add_argument(
        '--image-size',
        type=int,
        nargs=2,
        default=[800, 1333],
        metavar=('H', 'W'),
        help='height and width of the padded images, px (default: 800 1333)',
    )
    parser.add_argument('--num-classes', type=int, default=80, help='classes in the instruction (default: 80)')
    parser.add_argument('--points', type=int, default=2, help='N, points per object (default: 2)')
    parser.add_argument('--objects', type=int, default=7, help='objects per image while training (default: 7)')
    parser.add_argument('--kept', type=int, help='tokens whose points are decoded while predicting (default: all)')
    parser.add_argument(
        '--ops',
        choices=('compiled', 'pytorch'),
        help="deformable attention: mmcv's compiled operator "
        'as on GPUs, or its PyTorch form as on CPUs (default: compiled; with --measure pytorch)',
    )
    parser.add_argument('--measure', action='store_true', help='train for real on the CPU with random weights, compare')
    parser.add_argument('--json', action='store_true', help='print one JSON object instead of tables')
    parser.add_argument('--cfg-options', nargs='+', metavar='KEY=VALUE', help='override settings')
    args = parser.parse_args()
    require_file(args.config, 'config')
    for name in ('gpus', 'batch', 'num_classes', 'points', 'objects'):
        if getattr(args, name) < 1:
            parser.error(f'--{name.replace("_", "-")} must be at least 1, got {getattr(args, name)}')
    if args.measure and args.ops == 'compiled':
        parser.error('--measure trains on the CPU, without compiled ops: leave --ops out')
    if min(args.image_size) < 32:
        parser.error(f'--image-size must be at least 32 px, got {args.image_size}')
    return args


def main() -> None:
    args = parse_args()
    import_plugin()
    from visionllm_mm.planning import report
    from visionllm_mm.planning.plan import plan
    from visionllm_mm.planning.workload import Workload, architecture

    cfg = read_config(args.config, args.cfg_options)
    if cfg.model.type != 'VisionLLM':
        sys.exit(f'plan_memory.py: {args.config} is a config of {cfg.model.type}; VisionLLM alone can be planned')
    if args.kept is not None and args.kept < 1:
        sys.exit(f'plan_memory.py: --kept must be at least 1, got {args.kept}')
    work = Workload(args.batch, tuple(args.image_size), args.num_classes, args.points, args.objects, args.kept)
    compiled = (args.ops or ('pytorch' if args.measure else 'compiled')) == 'compiled'
    try:
        result = plan(cfg, work, args.gpus, compiled)
    except ValueError as error:
        sys.exit(f'plan_memory.py: {error}')
    if args.measure:
        from visionllm_mm.planning.measure import measure
        from visionllm_mm.planning.pace import seconds_of_step

        keep_freed_memory()
        result['seconds'] = seconds_of_step(cfg, work)
        result['measured'] = measure(args.config, parse_options(args.cfg_options), work)
    if args.json:
        print(json.dumps(result))
        return
    print(
        f'{args.config}: {args.gpus} GPUs x {args.batch} images of {work.image_size[0]} x {work.image_size[1]} px, '
        f'{work.num_classes} classes, {work.num_points} points, {work.objects} objects'
    )
    for name in ('llm', 'text_encoder'):
        if known := architecture(cfg, name):
            print(
                f'{name}: {cfg.model[name].path}, taken to be {known["model_type"]} of {known["num_hidden_layers"]} '
                f'layers of width {known["hidden_size"]}'
            )
    print()
    print(report.parameters_table(result), report.flops_table(result), report.memory_table(result), sep='\n\n')
    if args.measure:
        print('\n' + report.comparison(result))


if __name__ == '__main__':
    main()
