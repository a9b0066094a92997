"""Precision of visual grounding (paper, table 2: P@0.5 on RefCOCO)."""

from collections import defaultdict
from collections.abc import Sequence

import torch
from mmdet.registry import METRICS
from mmdet.structures.bbox import bbox_overlaps
from mmengine.evaluator import BaseMetric
from pycocotools.coco import COCO


@METRICS.register_module()
class GroundingMetric(BaseMetric):
    """Share of expressions whose highest-scored box overlaps the true box, overall and per group of expressions.

    Unlike mmdet's RefExpMetric it takes predictions in any order, images without predictions (a miss), and
    expressions without a true box (correct when no prediction reaches ``score_thr``). A sample with the key
    ``failure``, which could not be loaded or predicted, is always a miss.

    Args:
        ann_file: MDETR-style annotations.
        iou_thr: lowest IoU of a hit.
        group_key: field of the image entries that names the group, e.g. ``dataset_name``; images without it count in
            the total alone.
        score_thr: lowest score of a prediction that counts where there is no true box, in [0, 1].
        kwargs: see mmengine's BaseMetric.
    """

    default_prefix = 'grounding'

    def __init__(
        self, ann_file: str, iou_thr: float = 0.5, group_key: str = 'dataset_name', score_thr: float = 0.3, **kwargs
    ) -> None:
        super().__init__(**kwargs)
        self.coco = COCO(ann_file)
        self.iou_thr = iou_thr
        self.group_key = group_key
        self.score_thr = score_thr

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            found = sample['pred_instances']
            best = found['scores'].argsort(descending=True)[:1]
            self.results.append(
                (sample['img_id'], found['bboxes'][best].cpu(), found['scores'][best].cpu(), 'failure' in sample)
            )

    def compute_metrics(self, results: list) -> dict[str, float]:
        hits = defaultdict(list)
        for image_id, box, score, failed in results:
            hit = not failed and self._hit(image_id, box, score)
            hits['all'].append(hit)
            group = self.coco.imgs[image_id].get(self.group_key)
            if group is not None:
                hits[group].append(hit)
        name = f'P@{self.iou_thr:g}'
        return {
            name if group == 'all' else f'{group}_{name}': sum(values) / len(values) for group, values in hits.items()
        }

    def _hit(self, image_id: int, box: torch.Tensor, score: torch.Tensor) -> bool:
        true = self.coco.imgToAnns[image_id]
        if not true:
            return not bool((score >= self.score_thr).any())
        boxes = torch.tensor([annotation['bbox'] for annotation in true])
        boxes[:, 2:] += boxes[:, :2]
        return bool((bbox_overlaps(box, boxes) >= self.iou_thr).any())
