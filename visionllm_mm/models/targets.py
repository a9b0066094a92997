"""What data samples say of the objects in their images."""

from mmdet.models.utils import unpack_gt_instances
from mmdet.structures import SampleList

from ..structures import SetTargets


def set_targets(data_samples: SampleList) -> list[SetTargets]:
    """Targets of B samples with ``gt_instances``: bboxes (px), labels (-1: not asked for) and, but for words, points.

    Instances to be ignored, such as crowds, are left out.
    """
    targets = []
    instances, _, metas = unpack_gt_instances(data_samples)
    for gt, meta in zip(instances, metas, strict=True):
        height, width = meta['img_shape'][:2]
        size = gt.bboxes.new_tensor([width, height])
        asked, boxes_norm = gt.labels >= 0, gt.bboxes.reshape(-1, 2, 2) / size
        # Where words are asked for, no points are.
        points = gt.points / size if 'points' in gt else boxes_norm[:, :0]
        targets.append(SetTargets(gt.labels[asked], points[asked], size, boxes_norm[~asked], boxes_norm[asked]))
    return targets
