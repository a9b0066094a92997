"""What data samples say of the objects in their images."""

import torch
from mmdet.models.utils import unpack_gt_instances
from mmdet.structures import SampleList

from ..structures import SetTargets


def set_targets(data_samples: SampleList) -> list[SetTargets]:
    """Targets of B samples with ``gt_instances``: bboxes (px), labels (-1: not asked for) and, but for words, points.

    Where they have ``outlines``, see :class:`AddOutlines`, these are known whatever the instruction asks for.

    With ``object_labels``, what all objects are called (positions in the sample's ``object_names``), those that are
    not asked for are described, too: an expression such as "the star left of the ring" needs a token for the ring.
    Instances to be ignored, such as crowds, are left out.
    """
    targets = []
    instances, _, metas = unpack_gt_instances(data_samples)
    for gt, meta in zip(instances, metas, strict=True):
        height, width = meta['img_shape'][:2]
        size = gt.bboxes.new_tensor([width, height])
        boxes_norm, names = gt.bboxes.reshape(-1, 2, 2) / size, gt.get('object_labels', gt.labels)
        # Where words are asked for, no points are.
        points = gt.points / size if 'points' in gt else boxes_norm[:, :0]
        described = names >= 0
        outlines = torch.cat([gt.outlines[described], gt.outlines[~described]]) / size if 'outlines' in gt else None
        targets.append(
            SetTargets(
                names[described],
                points[described],
                size,
                boxes_norm[~described],
                boxes_norm[described],
                gt.labels[described],
                outlines,
            )
        )
    return targets
