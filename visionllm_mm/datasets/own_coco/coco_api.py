"""mmdet's COCO API on annotations that were checked."""

import contextlib
import io
from collections.abc import Mapping, Sequence

from mmdet.datasets.api_wrappers import COCO


class CheckedCoco(COCO):
    """mmdet's COCO, made of a checked file instead of a path.

    Args:
        content: ``content`` of :class:`CheckedFile`. Evaluation writes into annotations, so they are copied.
    """

    def __init__(self, content: Mapping[str, Sequence[dict]]) -> None:
        super().__init__()
        self.dataset = {name: [dict(entry) for entry in entries] for name, entries in content.items()}
        with contextlib.redirect_stdout(io.StringIO()):
            self.createIndex()
        # mmdet's names for them.
        self.img_ann_map, self.cat_img_map = self.imgToAnns, self.catToImgs
