"""COCO's keypoints, which mmdet's CocoDataset does not load."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS, TRANSFORMS


@DATASETS.register_module()
class KeypointCocoDataset(CocoDataset):
    """CocoDataset whose instances also have ``keypoints``: x, y and visibility of every point, as a flat list.

    Raises:
        ValueError: when an annotation has no keypoints; the message names the annotation.
    """

    def parse_data_info(self, raw_data_info: dict) -> dict:
        info = super().parse_data_info(dict(raw_data_info, raw_ann_info=[]))
        for annotation in raw_data_info['raw_ann_info']:
            # One at a time, because CocoDataset skips some annotations.
            parsed = super().parse_data_info(dict(raw_data_info, raw_ann_info=[annotation]))
            for instance in parsed['instances']:
                if 'keypoints' not in annotation:
                    raise ValueError(f'annotation {annotation.get("id")} of {self.ann_file} has no keypoints')
                info['instances'].append(instance | dict(keypoints=annotation['keypoints']))
        return info


@TRANSFORMS.register_module()
class LoadKeypoints(BaseTransform):
    """Adds ``gt_keypoints`` (K, P, 3) float64, px of the image file, from the instances of KeypointCocoDataset.

    Also adds ``gt_instances_ids``, the indices of the instances; RandomCrop keeps those of the boxes that it keeps.

    Args:
        num_points: P of images without objects.
    """

    def __init__(self, num_points: int) -> None:
        self.num_points = num_points

    def transform(self, results: dict) -> dict:
        keypoints = [instance['keypoints'] for instance in results['instances']]
        shape = (len(keypoints), -1, 3) if keypoints else (0, self.num_points, 3)
        results['gt_keypoints'] = np.array(keypoints, dtype=np.float64).reshape(shape)
        results['gt_instances_ids'] = np.arange(len(keypoints))
        return results
