"""Trivial baselines, which do not use the images; to be published beside every result."""

from __future__ import annotations

import contextlib
import io
import json
from collections import Counter
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

_RANDOM_BOXES_PER_IMAGE = 20


def measure_baselines(root: Path) -> dict:
    """Measure the trivial baselines on the validation images of a written data set.

    Args:
        root: folder of the data set.

    Returns:
        ``most_frequent_answer``: accuracy per question type, and over all questions, of the
        answer that is the most frequent of its type in training.
        ``random_object``: grounding P@0.5 of one of the image's true boxes, sampled at random, per
        type of expression and over all. ``random_boxes_ap``: box AP of random boxes and classes.
    """
    folder = root / 'annotations'
    return {
        'most_frequent_answer': _most_frequent_answer(folder),
        'random_object': _random_object(folder),
        'random_boxes_ap': _random_boxes_ap(folder / 'instances_val.json'),
    }


def _most_frequent_answer(folder: Path) -> dict[str, float]:
    train: dict[str, Counter] = {}
    for question_type, answer in _read_answers(folder / 'conversations_train.json'):
        train.setdefault(question_type, Counter())[answer] += 1
    guesses = {t: counter.most_common(1)[0][0] for t, counter in train.items()}
    hits: dict[str, list[bool]] = {}
    for question_type, answer in _read_answers(folder / 'conversations_val.json'):
        hits.setdefault(question_type, []).append(answer == guesses.get(question_type))
    return _means_by_type(hits)


def _read_answers(path: Path) -> list[tuple[str, str]]:
    """(question type, answer) of all turns of a conversation file."""
    answers = []
    for entry in json.loads(path.read_text()):
        values = [turn['value'] for turn in entry['conversations'][1::2]]
        answers += zip(entry['question_types'], values, strict=True)
    return answers


def _random_object(folder: Path) -> dict[str, float]:
    instances = json.loads((folder / 'instances_val.json').read_text())
    num_objects = Counter(a['image_id'] for a in instances['annotations'])
    chances: dict[str, list[float]] = {}
    for image in json.loads((folder / 'refexp_val.json').read_text())['images']:
        chance = 1 / num_objects[image['original_id']]
        chances.setdefault(image['expression_type'], []).append(chance)
    return _means_by_type(chances)


def _means_by_type(values: dict[str, list]) -> dict[str, float]:
    everything = [value for of_type in values.values() for value in of_type]
    named = {**dict(sorted(values.items())), 'all': everything}
    return {name: round(float(np.mean(v)), 4) for name, v in named.items() if v}


def _random_boxes_ap(path: Path) -> float:
    """COCO box AP, 0..1, of uniformly random boxes with random classes and scores."""
    rng = np.random.default_rng(0)
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its steps
        coco = COCO(str(path))
        if not coco.anns:
            return 0.0
        boxes = []
        for image in coco.dataset['images']:
            corners = rng.uniform(0, 1, (_RANDOM_BOXES_PER_IMAGE, 2, 2))
            low = corners.min(1) * (image['width'], image['height'])
            extent = np.ptp(corners, axis=1) * (image['width'], image['height'])
            boxes += [
                {
                    'image_id': image['id'],
                    'category_id': int(rng.integers(1, len(coco.cats) + 1)),
                    'bbox': [*low[i].tolist(), *extent[i].tolist()],
                    'score': float(rng.random()),
                }
                for i in range(_RANDOM_BOXES_PER_IMAGE)
            ]
        evaluation = COCOeval(coco, coco.loadRes(boxes), 'bbox')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return round(float(evaluation.stats[0]), 4)
