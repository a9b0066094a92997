"""What data samples state about the objects in their images."""

import torch
from mmdet.models.utils import unpack_gt_instances
from mmdet.structures import SampleList

from ..structures import SetTargets


def set_targets(data_samples: SampleList) -> list[SetTargets]:
    """Targets of B samples with ``gt_instances``: bboxes (px), labels (-1: not asked for) and, but for text, points.

    Where they have ``polygons``, see :class:`AddPolygons`, these are known whatever the instruction asks for.

    With ``object_labels``, the names of all objects (positions in the sample's ``object_names``), those that are
    not asked for are described, too: an expression such as "the star left of the ring" needs a token for the ring.
    Instances to be ignored, such as crowds, are left out.
    """
    targets = []
    instances, _, metas = unpack_gt_instances(data_samples)
    for gt, meta in zip(instances, metas, strict=True):
        height, width = meta['img_shape'][:2]
        size = gt.bboxes.new_tensor([width, height])
        boxes_norm = gt.bboxes.reshape(-1, 2, 2) / size  # (G, 4) -> (G, 2, 2)
        names = gt.get('object_labels', gt.labels)
        described = names >= 0
        polygons = None
        if 'polygons' in gt:
            polygons = torch.cat([gt.polygons[described], gt.polygons[~described]]) / size
        # Where text is asked for, no points are.
        points = gt.points / size if 'points' in gt else boxes_norm[:, :0]
        targets.append(
            SetTargets(
                class_index=names[described],
                points_norm=points[described],
                image_size=size,
                distractors_norm=boxes_norm[~described],
                boxes_norm=boxes_norm[described],
                target_class=gt.labels[described],
                polygons_norm=polygons,
            )
        )
    return targets
