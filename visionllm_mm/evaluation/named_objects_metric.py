"""Share of captions that name all annotated objects."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric
from pycocotools.coco import COCO

_NUMBERS = ('no', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten')


def names_pattern(names: Iterable[str]) -> re.Pattern:
    """A pattern that finds names in a text, with a number before and a plural behind; see :func:`count_named`."""
    longest_first = sorted((name.lower() for name in names), key=len, reverse=True)
    return re.compile(
        rf'\b(?:({"|".join(_NUMBERS)}|an?|\d+)\s+)?({"|".join(map(re.escape, longest_first))})(?:e?s)?\b', re.IGNORECASE
    )


def count_named(text: str, pattern: re.Pattern) -> Counter:
    """How many objects of each name a text mentions.

    Args:
        text: such as ``two red stars and a ring``.
        pattern: of :func:`names_pattern`.
    """
    counts = Counter()
    for number, name in pattern.findall(text):
        number = number.lower()
        known = _NUMBERS.index(number) if number in _NUMBERS else int(number) if number.isdigit() else 1
        counts[name.lower()] += known
    return +counts


@METRICS.register_module()
class NamedObjectsMetric(BaseMetric):
    """Share of captions in ``pred_text`` that name all annotated objects, with the right counts, and no others.

    ``a red star``, ``two red stars`` and ``2 red stars`` are counted; order and other words are ignored. A sample with
    the key ``failure``, which could not be loaded or predicted, is always a miss.

    Args:
        ann_file: COCO-format annotations; categories such as ``red star`` are the names.
        kwargs: see mmengine's BaseMetric.
    """

    default_prefix = 'caption'

    def __init__(self, ann_file: str, **kwargs) -> None:
        super().__init__(**kwargs)
        self.coco = COCO(ann_file)
        self.pattern = names_pattern(category['name'] for category in self.coco.cats.values())

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        self.results += [(sample['img_id'], sample['pred_text'], 'failure' in sample) for sample in data_samples]

    def compute_metrics(self, results: list) -> dict[str, float]:
        hits = [
            not failed and count_named(text, self.pattern) == self._count_annotated(image_id)
            for image_id, text, failed in results
        ]
        return dict(all_objects_named=sum(hits) / len(hits))

    def _count_annotated(self, image_id: int) -> Counter:
        return Counter(
            self.coco.cats[annotation['category_id']]['name'].lower() for annotation in self.coco.imgToAnns[image_id]
        )
