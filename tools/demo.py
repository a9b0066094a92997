"""Runs every task of the released small model on one picture, and writes a page with the answers.

python tools/demo.py --out-dir work_dirs/demo
"""

from __future__ import annotations

import argparse
import html
import time
from pathlib import Path

from _launch import import_plugin, load_inferencer, parse_with_model, render_scenes

PAGE = """<!doctype html>
<meta charset="utf-8"><title>VisionLLM: one picture, every task</title>
<style>body {{ font: 16px sans-serif; max-width: 60em; margin: 2em auto }} img {{ width: 20em; float: right }}
section {{ clear: both; overflow: auto; border-top: 1px solid #ccc; padding: 1em 0 }} pre {{ white-space: pre-wrap }}
</style>
<h1>One picture, every task</h1>
<p>Model: {model}. Nothing but the instruction differs from task to task.</p>
{sections}
"""
SECTION = """<section><img src="{picture}" alt="{title}"><h2>{title}</h2>
<p>{instruction}</p><p>Read as <code>{output_format}</code>, answered in {seconds:.2f} s:</p>
<pre>{answer}</pre></section>"""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--image', help='picture (default: a rendered scene of MiniScenes)')
    parser.add_argument('--out-dir', default='work_dirs/demo', help='folder of pictures and page')
    parser.add_argument(
        '--score-thr', type=float, default=0.3, help='lowest score of the objects that are shown (default: 0.3)'
    )
    return parse_with_model(parser)


def questions(model) -> dict:
    """Title -> method of the inferencer and its arguments."""
    from visionllm_mm.miniscenes import COLORS, KEYPOINTS, SHAPES

    own = 'Point to each {"star": <c0>, "ring": <c1>} of <image>: (c, x1, y1, x2, y2), range 64.'
    return {
        'Detection': (model.detect, SHAPES),
        'Detection of colors': (model.detect, COLORS),
        'Instance segmentation, 24 points': (model.segment, SHAPES, 24),
        'Instance segmentation, 8 points': (model.segment, SHAPES, 8),
        'Visual grounding': (model.ground, 'the largest object'),
        'Keypoints': (model.keypoints, SHAPES, KEYPOINTS),
        'Caption': (model.caption,),
        'Question': (model.answer, 'How many objects are there?'),
        'Your own words': (lambda path, **kwargs: model(path, instruction=own, **kwargs),),
    }


def main() -> None:
    args = parse_args()
    import_plugin()
    from PIL import Image

    from visionllm_mm.apis import to_text
    from visionllm_mm.apis.images import check_image_file

    out = Path(args.out_dir)
    out.mkdir(parents=True, exist_ok=True)
    model = load_inferencer(args, show_progress=False)
    try:
        picture = check_image_file(args.image or render_scenes(out, 1)[0], model.max_pixels)
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(f'demo.py: {error}') from error
    model.visualizer.min_size = 512
    sections = []
    for number, (title, (ask, *what)) in enumerate(questions(model).items(), start=1):
        start = time.perf_counter()
        result = ask(picture, *what, return_vis=True, pred_score_thr=args.score_thr)
        seconds = time.perf_counter() - start
        prediction, file = result['predictions'][0], f'{number}.png'
        Image.fromarray(result['visualization'][0]).save(out / file)
        answer = to_text(prediction, args.score_thr)
        shown = dict(
            picture=file,
            title=title,
            answer=answer,
            instruction=prediction['instruction'],
            output_format=prediction['output_format'],
        )
        sections.append(SECTION.format(seconds=seconds, **{key: html.escape(text) for key, text in shown.items()}))
        first, *_ = answer.splitlines() or ['(no text)']
        print(f'{title} ({seconds:.2f} s): {first}')
    page = out / 'report.html'
    page.write_text(PAGE.format(model=html.escape(Path(args.weights).name), sections='\n'.join(sections)))
    print(f'pictures and report.html are in {out}')


if __name__ == '__main__':
    main()
