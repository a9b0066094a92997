"""A small MiniScenes folder and what is in it, for the tests."""

import json
from collections import defaultdict

from visionllm_mm.miniscenes import DatasetArguments

ARGUMENTS = DatasetArguments(num_train=60, num_val=40)


def read(root, name):
    """An annotation file."""
    return json.loads((root / 'annotations' / f'{name}.json').read_text())


def objects_by_image(root, split):
    """Annotations of each image that has some."""
    groups = defaultdict(list)
    for annotation in read(root, f'instances_{split}')['annotations']:
        groups[annotation['image_id']].append(annotation)
    return groups
