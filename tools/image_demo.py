"""Runs a task or your own instruction on pictures, and prints or renders the predictions.

    python tools/prepare_miniscenes.py      (makes the pictures, in half a minute)
    python tools/image_demo.py data/miniscenes/val --detect star circle --out-dir work_dirs/shown
    python tools/image_demo.py data/miniscenes/val/000001.png --segment star ring --points 16 --out-dir work_dirs/shown
    python tools/image_demo.py data/miniscenes/val/000001.png --ground "the largest object"
    python tools/image_demo.py data/miniscenes/val/000001.png --answer "How many objects are there?"
    python tools/image_demo.py data/miniscenes/val/000001.png --instruction \\
        'Boxes of {"star": <c0>} in <image> please, as (c, x1, y1, x2, y2), range 64.'

The model is the small one of checkpoints/, which knows MiniScenes alone, unless --config and --weights name another.
Pictures and videos that can't be read are left out and listed at the end.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from _launch import import_plugin, load_inferencer, parse_with_model


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('image', nargs='+', help='pictures, folders of pictures, videos')
    task = parser.add_mutually_exclusive_group(required=True)
    task.add_argument('--detect', nargs='+', metavar='CLASS', help='boxes of these')
    task.add_argument('--segment', nargs='+', metavar='CLASS', help='polygons of these')
    task.add_argument('--keypoints', nargs='+', metavar='CLASS', help='named points of these')
    task.add_argument('--ground', metavar='EXPRESSION', help='the box of the object that this describes')
    task.add_argument('--caption', action='store_true', help='a sentence')
    task.add_argument('--answer', metavar='QUESTION', help='a word or two')
    task.add_argument('--instruction', help='in your own words, with <image> where the picture goes')
    parser.add_argument('--points', type=int, help='points of a polygon (default: as many as the model has)')
    parser.add_argument('--parts', nargs='+', metavar='NAME', help='names of the points, for --keypoints')
    parser.add_argument(
        '--score-thr', type=float, default=0.3, help='lowest score of the objects that are shown (default: 0.3)'
    )
    parser.add_argument('--strict', action='store_true', help="stop at the first picture or video that can't be read")
    parser.add_argument('--batch-size', type=int, default=1, help='pictures at once (default: 1)')
    parser.add_argument(
        '--out-dir', default='', help='folder for rendered pictures (vis/) and predictions as JSON (preds/)'
    )
    parser.add_argument('--coco', metavar='FILE.json', help='file for all predictions as a COCO data set')
    args = parse_with_model(parser)
    if bool(args.keypoints) != bool(args.parts):
        parser.error('--keypoints and --parts go together: classes, and names of their points')
    if args.batch_size < 1:
        parser.error(f'--batch-size must be at least 1, got {args.batch_size}')
    return args


def ask(inferencer, inputs: str | list[str], args: argparse.Namespace) -> dict:
    """The predictions for the task of the command line."""
    common = dict(
        batch_size=args.batch_size,
        out_dir=args.out_dir,
        no_save_pred=not args.out_dir,
        pred_score_thr=args.score_thr,
        strict=args.strict,
    )
    if args.detect:
        return inferencer.detect(inputs, args.detect, **common)
    if args.segment:
        return inferencer.segment(inputs, args.segment, args.points, **common)
    if args.keypoints:
        return inferencer.keypoints(inputs, args.keypoints, args.parts, **common)
    if args.ground is not None:
        return inferencer.ground(inputs, args.ground, **common)
    if args.caption:
        return inferencer.caption(inputs, **common)
    if args.answer is not None:
        return inferencer.answer(inputs, args.answer, **common)
    return inferencer(inputs, instruction=args.instruction, **common)


def split_inputs(paths: list[str]) -> tuple[list[str], list[str]]:
    """All pictures, with those of folders, and all videos; each once."""
    from visionllm_mm.apis.images import is_video
    from visionllm_mm.apis.inputs import list_folder

    pictures, videos = [], []
    for path in paths:
        if Path(path).is_dir():
            found = list_folder(path)
            if not found:
                raise ValueError(f'there is no picture in the folder {path}')
            pictures += found
        else:
            (videos if is_video(path) else pictures).append(path)
    return list(dict.fromkeys(pictures)), list(dict.fromkeys(videos))


def ask_about_all(inferencer, args: argparse.Namespace) -> tuple[dict[str, dict], list[dict]]:
    """Predictions by the names that are printed, and what was left out and why."""
    from visionllm_mm.file_names import below_common_folder

    pictures, videos = split_inputs(args.image)
    found, skipped = {}, []
    if pictures:
        result = ask(inferencer, pictures, args)
        names = below_common_folder([prediction['img_path'] for prediction in result['predictions']])
        found |= zip(names, result['predictions'], strict=True)
        skipped += result.get('skipped', ())
    for video in videos:
        result = ask(inferencer, video, args)
        found |= {f'{video}, frame {i}': prediction for i, prediction in enumerate(result['predictions'], start=1)}
        skipped += result.get('skipped', ())
    return found, skipped


def describe(prediction: dict, score_thr: float) -> list[str]:
    """Lines about one picture: the generated text, or one line per object."""
    if 'text' in prediction:
        return [prediction['text']]
    objects = zip(prediction['label_names'], prediction['scores'], prediction['bboxes'], strict=True)
    lines = [
        f'{name} {score:.2f} at {", ".join(f"{v:.0f}" for v in box)}'
        for name, score, box in objects
        if score >= score_thr
    ]
    return lines or [f'nothing with a score of {score_thr} or more']


def main() -> None:
    args = parse_args()
    import_plugin()
    from visionllm_mm.apis import to_coco
    from visionllm_mm.apis.images import is_video

    if args.coco:
        Path(args.coco).parent.mkdir(parents=True, exist_ok=True)
    many = len(args.image) > 1 or is_video(args.image[0]) or Path(args.image[0]).is_dir()
    inferencer = load_inferencer(args, show_progress=many)
    try:
        found, skipped = ask_about_all(inferencer, args)
    except (ValueError, TypeError, OSError) as error:
        raise SystemExit(f'image_demo.py: {error}') from error
    predictions = list(found.values())
    if predictions:
        print(f'{predictions[0]["instruction"]}\n-> {predictions[0]["output_format"]}')
    for name, prediction in found.items():
        lines = describe(prediction, args.score_thr)
        print(f'{name}: {"; ".join(lines)}' if many else '\n'.join(lines))
    if args.coco:
        Path(args.coco).write_text(json.dumps(to_coco(predictions, args.score_thr)))
    if args.out_dir and predictions:
        print(f'pictures and answers are in {args.out_dir}')
    reasons = [left_out['reason'] for left_out in skipped]
    if not predictions:
        more = f' (and {len(reasons) - 1} more)' if len(reasons) > 1 else ''
        raise SystemExit(f'image_demo.py: {reasons[0]}{more}')
    if reasons:
        print('\n  '.join([f'{len(reasons)} could not be read and are left out:', *reasons]))


if __name__ == '__main__':
    main()
