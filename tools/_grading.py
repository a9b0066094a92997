"""What tools/demo.py compares answers with: objects of photographs, and all that is known of a rendered scene."""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from visionllm_mm.miniscenes import Example, Instance

OVERLAP = 0.5
"""Lowest IoU with a true object, or OKS of keypoints, of one that counts as found."""


class Grade(NamedTuple):
    """An answer beside the truth.

    Attributes:
        is_right: whether it is right as a whole.
        text: what is found, missing, found twice and wrong, as one line.
        found: number of true objects that it has.
        objects: number of true objects that were asked for.
    """

    is_right: bool
    text: str
    found: int = 0
    objects: int = 0


class TrueObject(NamedTuple):
    """An object that was asked for.

    Attributes:
        name: its class, as the answer has it.
        title: how a grade calls it.
        annotation: in COCO's format.
    """

    name: str
    title: str
    annotation: dict


def in_scene(name: str, target: Instance) -> TrueObject:
    """An object of a rendered scene, asked for under a name."""
    from visionllm_mm.miniscenes.annotations import coco_annotation

    return TrueObject(name, f'{target.color} {target.shape}', coco_annotation(1, 1, target))


def grade_objects(prediction: dict, truth: Sequence[TrueObject], score_thr: float = 0.3) -> Grade:
    """Compares boxes, polygons or keypoints with the true objects, by COCO's matching.

    A true object is found when one of its class in the answer overlaps it by ``OVERLAP``. The answer is right when all
    true objects are found, each once, and nothing else is.

    Args:
        prediction: a prediction of the inferencer; objects with a score below ``score_thr`` do not count.
        truth: the objects that were asked for.
        score_thr: in [0, 1].
    """
    scores = zip(prediction['label_names'], prediction['scores'], strict=True)
    found = {i: name for i, (name, score) in enumerate(scores, start=1) if score >= score_thr}
    matched = _match(prediction, found, truth)
    others = {i: name for i, name in found.items() if i not in matched}
    again = _match(prediction, others, truth)
    names = {i: target.title for i, target in enumerate(truth, start=1)}
    return _grade(
        found=[name for i, name in names.items() if i in matched.values()],
        missing=[name for i, name in names.items() if i not in matched.values()],
        twice=[names[i] for i in again.values()],
        wrong=[f'{name} {prediction["scores"][i - 1]:.2f}' for i, name in others.items() if i not in again],
    )


def grade_expression(prediction: dict, target: Instance, score_thr: float = 0.3) -> Grade:
    """Compares the best box with the object that an expression refers to."""
    best = {key: prediction[key][:1] for key in ('bboxes', 'scores', 'label_names')}
    return grade_objects(best, [in_scene(name, target) for name in best['label_names'] or ['']], score_thr)


def grade_caption(text: str, scene: Example) -> Grade:
    """Compares the objects that a text names with those of the scene, by number, color and shape."""
    from visionllm_mm.evaluation.named_objects_metric import count_named, names_pattern
    from visionllm_mm.miniscenes import PAIRS

    named = count_named(text, names_pattern(' '.join(pair) for pair in PAIRS))
    true = Counter(f'{target.color} {target.shape}' for target in scene.instances)
    return _grade(found=(named & true).elements(), missing=(true - named).elements(), wrong=(named - true).elements())


def grade_answer(text: str, truth: str) -> Grade:
    """Compares a short answer with the true one; case and punctuation do not count."""
    from visionllm_mm.evaluation.caption_metric import tokenize_simply

    return Grade(tokenize_simply(text) == tokenize_simply(truth), f'answer: {text or "(no text)"}; truth: {truth}')


def _grade(**parts: Iterable[str]) -> Grade:
    names = {part: list(elements) for part, elements in parts.items()}
    text = '; '.join(f'{part}: {", ".join(_count(group))}' for part, group in names.items() if group)
    found, missing = len(names['found']), len(names['missing'])
    is_right = not any(group for part, group in names.items() if part != 'found')
    return Grade(is_right, text or 'nothing to find, nothing found', found, found + missing)


def _count(names: list[str]) -> Iterator[str]:
    for name, number in Counter(names).items():
        yield name if number == 1 else f'{number} x {name}'


def _match(prediction: dict, found: dict[int, str], truth: Sequence[TrueObject]) -> dict[int, int]:
    """Position of an object of the answer -> position of the true object that it matches; both count from 1."""
    import numpy as np
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    names = sorted({*found.values(), *(target.name for target in truth)})
    true = [
        dict(target.annotation, id=i, image_id=1, category_id=names.index(target.name))
        for i, target in enumerate(truth, start=1)
    ]
    answered = [dict(_annotation(prediction, i - 1), id=i, category_id=names.index(name)) for i, name in found.items()]
    kind = 'keypoints' if 'keypoints' in prediction else 'segm' if 'masks' in prediction else 'bbox'
    height, width = prediction.get('ori_shape', (0, 0))  # polygons alone need the size
    sets = []
    with contextlib.redirect_stdout(io.StringIO()):
        for annotations in (true, answered):
            sets.append(COCO())
            sets[-1].dataset = dict(
                images=[dict(id=1, height=height, width=width)],
                annotations=annotations,
                categories=[dict(id=i) for i in range(len(names))],
            )
            sets[-1].createIndex()
        evaluation = COCOeval(*sets, kind)
        evaluation.params.iouThrs, evaluation.params.maxDets = np.array([OVERLAP]), [100]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ['all']
        evaluation.params.kpt_oks_sigmas = np.full(5, 0.05)  # as KeypointMetric
        evaluation.evaluate()
    pairs = [
        (i, int(match))
        for of_class in filter(None, evaluation.evalImgs)
        for i, match in zip(of_class['dtIds'], of_class['dtMatches'][0], strict=True)
    ]
    return {i: match for i, match in pairs if match}


def _annotation(prediction: dict, i: int) -> dict:
    left, top, right, bottom = prediction['bboxes'][i]
    width, height = right - left, bottom - top
    found = dict(
        image_id=1, bbox=[left, top, width, height], area=width * height, iscrowd=0, score=prediction['scores'][i]
    )
    if 'masks' in prediction:
        found['segmentation'] = prediction['masks'][i]
    if 'keypoints' in prediction:
        points = prediction['keypoints'][i]
        found |= dict(keypoints=[value for point in points for value in (*point, 2)], num_keypoints=len(points))
    return found
