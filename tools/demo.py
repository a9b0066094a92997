"""Asks the released models, and compares their answers with the truth: every task on three rendered scenes, and the
trees of a photograph.

python tools/demo.py --out-dir work_dirs/demo

With --image it asks the model of --config about a picture of yours instead, whose truth it does not know.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from _demo_page import Answer, write_page
from _grading import Grade, TrueObject, grade_answer, grade_caption, grade_expression, grade_objects, in_scene
from _launch import (
    describe_weights,
    draw_large,
    import_plugin,
    load_inferencer,
    parse_with_model,
    render_scenes,
    require_file,
)

if TYPE_CHECKING:
    from visionllm_mm.apis import VisionLLMInferencer
    from visionllm_mm.miniscenes import Example

SCENES = 3
ROOT = Path(__file__).resolve().parents[1]
PHOTOGRAPH = ROOT / 'tools/demo_photograph/tree_crowns.jpg'  # the objects in it are in the .json beside it
OF_PHOTOGRAPHS = 'visionllm-small_tree-crowns'


class Question(NamedTuple):
    """A method of the inferencer with all arguments but the image, and how its answer is compared with the truth.

    ``grade`` is None where the truth is not known.
    """

    ask: Callable[..., dict]
    grade: Callable[[dict], Grade] | None


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--image', help=f'picture (default: {SCENES} rendered scenes of MiniScenes)')
    parser.add_argument('--out-dir', default='work_dirs/demo', help='folder of pictures and page')
    parser.add_argument(
        '--score-thr', type=float, default=0.3, help='lowest score of the objects that count (default: 0.3)'
    )
    args = parse_with_model(parser)
    if not 0 <= args.score_thr <= 1:
        parser.error(f'--score-thr must lie between 0 and 1, got {args.score_thr:g}')
    if args.image:
        require_file(args.image, 'image')
    return args


def ask_every_task(model: VisionLLMInferencer, scene: Example | None, score_thr: float) -> dict[str, Question]:
    """Title -> question; of a scene, which must have an object, also its own expression and question."""
    from visionllm_mm.miniscenes import COLORS, KEYPOINTS, SHAPES

    expression, question = 'the largest object', 'How many objects are there?'
    if scene:
        expression, question = scene.expressions[-1].text, scene.conversation[0].text
    own_classes = ('star', 'ring')
    own = 'Point to each {"star": <c0>, "ring": <c1>} of <image>: (c, x1, y1, x2, y2), range 64.'

    def by(attribute: str, names: tuple[str, ...]) -> Callable[[dict], Grade]:
        def grade(found: dict) -> Grade:
            named = [(getattr(target, attribute), target) for target in scene.instances]
            truth = [in_scene(name, target) for name, target in named if name in names]
            return grade_objects(found, truth, score_thr)

        return grade

    shapes = by('shape', SHAPES)
    questions = {
        'Detection': Question(partial(model.detect, classes=SHAPES), shapes),
        'Detection of colors': Question(partial(model.detect, classes=COLORS), by('color', COLORS)),
        'Instance segmentation, 24 points': Question(partial(model.segment, classes=SHAPES, num_points=24), shapes),
        'Instance segmentation, 8 points': Question(partial(model.segment, classes=SHAPES, num_points=8), shapes),
        'Visual grounding': Question(
            partial(model.ground, expression=expression),
            lambda found: grade_expression(found, scene.instances[scene.expressions[-1].target], score_thr),
        ),
        'Keypoints': Question(partial(model.keypoints, classes=SHAPES, point_names=KEYPOINTS), shapes),
        'Caption': Question(model.caption, lambda found: grade_caption(found['text'], scene)),
        'Question': Question(
            partial(model.answer, question=question),
            lambda found: grade_answer(found['text'], scene.conversation[0].answer),
        ),
        'Your own instruction': Question(partial(model, instruction=own), by('shape', own_classes)),
    }
    return questions if scene else {title: Question(ask, None) for title, (ask, _) in questions.items()}


def ask_photograph(args: argparse.Namespace, out: Path) -> tuple[str, list[Answer]]:
    """Asks the model of photographs for the trees in one; what users must know of it, and the answers."""
    weights = str(ROOT / f'checkpoints/{OF_PHOTOGRAPHS}.pth')
    own = argparse.Namespace(
        config=str(ROOT / f'configs/visionllm/{OF_PHOTOGRAPHS}.py'), weights=weights, device=args.device
    )
    model = load_inferencer(own, show_progress=False)
    draw_large(model)
    picture, known = out / PHOTOGRAPH.name, describe_weights(weights)
    shutil.copy(PHOTOGRAPH, picture)
    content = json.loads(PHOTOGRAPH.with_suffix('.json').read_text())
    (name,) = (category['name'] for category in content['categories'])
    truth = [TrueObject(name, name, annotation) for annotation in content['annotations']]
    question = Question(
        partial(model.detect, classes=(name,)), lambda found: grade_objects(found, truth, args.score_thr)
    )
    print(f'{known}\n{picture.name}: {len(truth)} x {name}')
    return known, answer_all(str(picture), {'Detection in a photograph': question}, out, args.score_thr)


def answer_all(picture: str, questions: dict[str, Question], out: Path, score_thr: float) -> list[Answer]:
    """Asks every question about a picture, draws the answers and prints a line for each."""
    from PIL import Image

    from visionllm_mm.apis import to_text

    answers = []
    for number, (title, question) in enumerate(questions.items(), start=1):
        start = time.perf_counter()
        try:
            result = question.ask(picture, return_vis=True, pred_score_thr=score_thr)
        except ValueError as error:  # such as 24 points, of a model that writes 2
            print(f'  not asked  {title}: {error}')
            continue
        seconds = time.perf_counter() - start
        prediction, file = result['predictions'][0], f'{Path(picture).stem}_{number}.png'
        Image.fromarray(result['visualization'][0]).save(out / file)
        answer = to_text(prediction, score_thr)
        grade = question.grade(prediction) if question.grade else None
        answers.append(Answer(title, prediction['instruction'], prediction['output_format'], answer, file, grade))
        verdict = 'truth not known' if grade is None else 'right' if grade.is_right else 'WRONG'
        first, *_ = answer.splitlines() or ['(no text)']
        print(f'  {verdict}  {title} ({seconds:.2f} s)  {grade.text if grade else first}')
    return answers


def count_right(grades: list[Grade]) -> str:
    """The total as a sentence; empty where no truth is known."""
    if not grades:
        return ''
    objects = f'{sum(grade.found for grade in grades)} of {sum(grade.objects for grade in grades)} objects'
    return f'{sum(grade.is_right for grade in grades)} of {len(grades)} answers are right; {objects} were found'


def main() -> None:
    args = parse_args()
    import_plugin()
    from visionllm_mm.apis.images import check_image_file

    out = Path(args.out_dir)
    try:
        out.mkdir(parents=True, exist_ok=True)
        scenes = {args.image: None} if args.image else render_scenes(out, SCENES)
        model = load_inferencer(args, show_progress=False)
        for picture in scenes:
            check_image_file(picture, model.max_pixels)
    except (ValueError, OSError) as error:
        sys.exit(f'demo.py: {error}')
    draw_large(model)
    known = [describe_weights(args.weights)]
    print(known[0])
    answers = []
    for picture, scene in scenes.items():
        objects = [f'{target.color} {target.shape}' for target in scene.instances] if scene else []
        print(f'{Path(picture).name}{": " if objects else ""}{", ".join(objects)}')
        answers += answer_all(picture, ask_every_task(model, scene, args.score_thr), out, args.score_thr)
    if not args.image:
        limits, of_photograph = ask_photograph(args, out)
        known, answers = [*known, limits], answers + of_photograph
    total = count_right([answer.grade for answer in answers if answer.grade])
    write_page(out / 'report.html', known, total, args.score_thr, answers)
    print(f'pictures and report.html are in {out}')
    if total:
        print(total)


if __name__ == '__main__':
    main()
