"""Packs the keys that instruction transforms add."""

from collections.abc import Sequence

from mmdet.datasets.transforms import PackDetInputs
from mmdet.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PackInstructionInputs(PackDetInputs):
    """mmdet's PackDetInputs, with the instruction and its targets.

    Args:
        meta_keys: keys that become metainfo of the data sample, where present.
    """

    mapping_table = PackDetInputs.mapping_table | {
        'gt_points': 'points',
        'gt_polygons': 'polygons',
        'object_labels': 'object_labels',
    }

    def __init__(
        self,
        meta_keys: Sequence[str] = (
            'img_id',
            'img_path',
            'ori_shape',
            'img_shape',
            'scale_factor',
            'flip',
            'flip_direction',
            'text',
            'custom_entities',
            'tokens_positive',
            'instruction',
            'class_names',
            'class_labels',
            'class_groups',
            'object_names',
            'answer',
            'gt_caption',
            'question',
            'history',
            'question_type',
            'turn',
            'scrambled_instruction',
            'noise_seed',
            'question_phrases',
        ),
    ) -> None:
        super().__init__(meta_keys=meta_keys)
