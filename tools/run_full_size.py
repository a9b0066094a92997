"""Runs a full-size model once on this machine's CPU: detection on one image, and on request one training step.

    python tools/run_full_size.py configs/visionllm/visionllm_r50-bert-llama7b_stage1_coco.py --train

Weights are random: where the config names some by path, those of `planning` in the config are built instead, so nothing
is downloaded. A LLaMA-7B takes 13 GiB in bfloat16, and some minutes to initialize. docs/planning.md has the results of
such a run.
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager

from _launch import import_plugin, read_config, require_file


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file of a VisionLLM')
    parser.add_argument(
        '--image-size', type=int, nargs=2, default=[800, 1333], metavar=('H', 'W'), help='px (default: 800 1333)'
    )
    parser.add_argument('--num-classes', type=int, default=80, help='classes in the instruction (default: 80)')
    parser.add_argument('--objects', type=int, default=7, help='objects: their tokens are decoded (default: 7)')
    parser.add_argument('--points', type=int, default=2, help='N, points per object (default: 2)')
    parser.add_argument('--train', action='store_true', help='then one training step, gradient checkpointing included')
    parser.add_argument('--cfg-options', nargs='+', metavar='KEY=VALUE', help='override settings')
    args = parser.parse_args()
    require_file(args.config, 'config')
    for name in ('num_classes', 'objects', 'points'):
        if getattr(args, name) < 1:
            parser.error(f'--{name.replace("_", "-")} must be at least 1, got {getattr(args, name)}')
    return args


def main() -> None:
    args = parse_args()
    import_plugin()
    import torch

    from visionllm_mm.planning.workload import Workload, build_model

    cfg = read_config(args.config, args.cfg_options)
    cfg.model.llm.gradient_checkpointing = args.train
    # The points of at most so many image tokens are decoded.
    cfg.model.test_cfg.max_per_img = args.objects
    torch.manual_seed(0)
    print(
        f'{args.config}, {args.image_size[0]} x {args.image_size[1]} px, {args.num_classes} classes, N = '
        f'{args.points}, {args.objects} objects, {torch.get_num_threads()} threads'
    )
    with timed('build'):
        model = build_model(cfg)
    work = Workload(1, tuple(args.image_size), args.num_classes, args.points, args.objects)
    images = torch.rand(1, 3, *work.image_size)
    predict(model.eval(), work, images)
    if args.train:
        train(model.train(), work, images, cfg)


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Prints the time and the peak memory of the code inside it."""
    from visionllm_mm.planning.measure import forget_peak, resident_bytes

    forget_peak()
    start = time.perf_counter()
    yield
    seconds, peak = time.perf_counter() - start, resident_bytes('VmHWM')
    print(f'{what:<44} {seconds:>8.1f} s   peak {peak / 2**30:>5.1f} GiB', flush=True)


def predict(model, work, images) -> None:
    """Measures the stages of a prediction, with a new and with a cached text, and compares it with one pass."""
    import torch

    from visionllm_mm.models.one_pass import decode_one_pass
    from visionllm_mm.planning.workload import samples, stages

    data_samples, decoder, num_points = samples(work, model), model.task_decoder, work.num_points
    with torch.no_grad():
        for title in ('a new text', 'the same text, cached'):
            print(f'-- predict(), {title}')
            with stages(model, timed):
                result = model.predict(images, data_samples)
        print(f'{len(result[0].pred_instances)} predictions')
        print('-- one pass instead of two')
        instructions = model.parse_instructions(data_samples)
        tokens = model.tokenize(model.extract_feat(images), data_samples, instructions)
        inputs, num_tokens = model.project(tokens)[1], model.image_tokenizer.num_tokens
        best = tokens.objectness[-1].topk(min(work.objects, num_tokens)).indices
        state = decoder.read(instructions, inputs)
        two = decoder.point_logits(state, best, num_points)
        with timed(f'LLM: in one pass ({num_tokens * (1 + 2 * num_points)} queries)'):
            classes, one = decode_one_pass(decoder, instructions, inputs, num_points)
        one = one.gather(1, best[:, :, None, None, None].expand_as(two))
        passes = {'class': (classes, decoder.class_logits(state)), 'location': (one, two)}
    for token, (one, two) in passes.items():
        difference = (one.softmax(dim=-1) - two.softmax(dim=-1)).abs().max()
        same = (one.argmax(dim=-1) == two.argmax(dim=-1)).float().mean()
        print(
            f'one pass and two: probabilities of {one.shape[-1]} {token} tokens differ by {difference:.5f} at '
            f'most, the likeliest is the same for {same:.1%}'
        )


def train(model, work, images, cfg) -> None:
    """One step of the config's optimizer with the model's own losses."""
    import torch
    from mmengine.registry import OPTIMIZERS

    from visionllm_mm.planning.workload import autocast, samples

    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = OPTIMIZERS.build(dict(cfg.optim_wrapper.optimizer, params=trained))
    with autocast(cfg)(), timed('training step: forward'):
        losses = model.loss(images, samples(work, model))
    total, _ = model.parse_losses(losses)
    with timed('training step: backward'):
        total.backward()
    norm = torch.nn.utils.clip_grad_norm_(trained, **cfg.optim_wrapper.clip_grad)
    with timed('training step: optimizer'):
        optimizer.step()
    print(f'loss {total.item():.2f}, gradient norm {norm:.2f}, {sum(p.numel() for p in trained) / 1e6:.1f} M trained')


if __name__ == '__main__':
    main()
