"""OKS AP of keypoints, by pycocotools."""

import contextlib
import io
from collections.abc import Sequence

import numpy as np
from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


@METRICS.register_module()
class KeypointMetric(BaseMetric):
    """Average precision by object keypoint similarity, of ``points`` in the predictions.

    Args:
        ann_file: COCO-format annotations with keypoints.
        sigmas: falloff of the similarity per point; one number: the same for all points. (COCO's person sigmas run from
            0.025 for the eyes to 0.107 for the hips.)
        kwargs: see mmengine's BaseMetric.
    """

    default_prefix = 'keypoints'

    def __init__(self, ann_file: str, sigmas: float | Sequence[float] = 0.05, **kwargs) -> None:
        super().__init__(**kwargs)
        with contextlib.redirect_stdout(io.StringIO()):
            self.coco = COCO(ann_file)
        for annotation in self.coco.anns.values():
            annotation.setdefault('num_keypoints', sum(v > 0 for v in annotation.get('keypoints', ())[2::3]))
        self.sigmas = sigmas

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            found = sample['pred_instances']
            self.results.append(
                (
                    sample['img_id'],
                    found['points'].cpu().numpy(),
                    found['scores'].cpu().numpy(),
                    found['labels'].cpu().numpy(),
                )
            )

    def compute_metrics(self, results: list) -> dict[str, float]:
        categories = self.coco.getCatIds(catNms=self.dataset_meta['classes'])
        entries = [
            dict(
                image_id=image_id,
                category_id=categories[label],
                score=float(score),
                keypoints=np.column_stack([keypoints, np.ones(len(keypoints))]).ravel().tolist(),
            )
            for image_id, points, scores, labels in results
            for keypoints, score, label in zip(points, scores, labels, strict=True)
        ]
        if not entries:
            return dict(AP=0.0, AP50=0.0, AP75=0.0)
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation = COCOeval(self.coco, self.coco.loadRes(entries), 'keypoints')
            num_points = len(entries[0]['keypoints']) // 3
            evaluation.params.kpt_oks_sigmas = np.broadcast_to(np.array(self.sigmas, dtype=float), num_points)
            evaluation.params.imgIds = sorted({image_id for image_id, *_ in results})
            evaluation.params.catIds = categories
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return {
            name: max(0.0, float(value)) for name, value in zip(('AP', 'AP50', 'AP75'), evaluation.stats, strict=False)
        }
