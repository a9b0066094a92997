"""Turns what a data set or a user asks for into an instruction and its targets."""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.datasets.transforms import PackDetInputs
from mmdet.registry import TRANSFORMS

from ...instructions import (
    DETECTION_TEMPLATES,
    Vocabulary,
    build_instruction,
    check_class_names,
    point_format,
    sample_class_set,
)


@TRANSFORMS.register_module()
class DetectionInstruction(BaseTransform):
    """Writes a detection instruction.

    Required keys: ``text`` where the class set comes with the sample: a sequence of names (CocoDataset with
    ``return_classes=True``) or, with ``custom_entities=True``, names joined by `` . `` as mmdet's inference API takes
    them. While training also ``gt_bboxes``, ``gt_bboxes_labels`` and ``gt_ignore_flags``.

    Added keys: ``instruction``, ``class_names`` and ``class_labels`` (the data set's label of each class,
    in the instruction's order). While training, labels become positions in the set, or -1 for objects that the
    instruction does not ask for, and ``gt_points`` (K, 2, 2), float32 px, holds the top-left and the bottom-right
    corner.

    Args:
        vocabulary: arguments of :class:`Vocabulary`, the model's.
        classes: class set where a sample brings none.
        training: whether wordings, subset and order are drawn at random and targets are made.
        templates: wordings; evaluation uses the one with number ``template_index``.
        template_index: wording of evaluation.
        subset_prob: probability of a random subset while training, in [0, 1].
        max_classes: the most classes per instruction while training; None: all class tokens.

    Raises:
        ValueError: for a class set that can't be asked for, or a bad ``template_index``.
    """

    def __init__(self, vocabulary: dict, classes: Sequence[str] | None = None, training: bool = False,
                 templates: Sequence[str] = DETECTION_TEMPLATES, template_index: int = 0, subset_prob: float = 0.5,
                 max_classes: int | None = None) -> None:
        self.vocabulary = Vocabulary(**vocabulary)
        self.classes = classes
        self.training = training
        self.templates = tuple(templates)
        if not 0 <= template_index < len(self.templates):
            raise ValueError(f'template_index must be 0 .. {len(self.templates) - 1}, got {template_index}')
        self.template_index = template_index
        self.subset_prob = subset_prob
        self.max_classes = min(max_classes or self.vocabulary.num_classes, self.vocabulary.num_classes)
        self.output_format = point_format(2)
        if classes is not None and not training:
            check_class_names(classes, self.vocabulary.num_classes)

    def transform(self, results: dict) -> dict:
        names = self._class_names(results)
        template, chosen = self.templates[self.template_index], list(range(len(names)))
        if self.training:
            present = np.unique(results['gt_bboxes_labels']).tolist()
            chosen = sample_class_set(len(names), present, np.random, subset_prob=self.subset_prob,
                                      max_classes=self.max_classes)
            template = self.templates[np.random.randint(len(self.templates))]
        results['class_names'] = [names[label] for label in chosen]
        results['class_labels'] = chosen
        results['instruction'] = build_instruction(
            template, results['class_names'], self.output_format, self.vocabulary)
        if self.training:
            self._make_targets(results, chosen)
        return results

    def _class_names(self, results: dict) -> list[str]:
        text = results.get('text')
        if text is None:
            text = self.classes
        if text is None:
            raise ValueError('no class set: give classes= to DetectionInstruction, set return_classes=True on the '
                             "data set, or pass text_prompt='circle . star' and custom_entities=True")
        if not isinstance(text, str):
            return list(text)
        if not results.get('custom_entities'):
            raise ValueError(f'the class set is the string {text!r}: name classes as "a . b" and pass '
                             'custom_entities=True')
        return [name.strip() for name in text.strip().strip('.').split(' . ') if name.strip()]

    @staticmethod
    def _make_targets(results: dict, chosen: list[int]) -> None:
        position = {label: i for i, label in enumerate(chosen)}
        results['gt_bboxes_labels'] = np.array(
            [position.get(label, -1) for label in results['gt_bboxes_labels']], dtype=np.int64)
        boxes_xyxy = results['gt_bboxes'].tensor.numpy().astype(np.float32)
        results['gt_points'] = boxes_xyxy.reshape(-1, 2, 2)


@TRANSFORMS.register_module()
class PackInstructionInputs(PackDetInputs):
    """mmdet's PackDetInputs, with the instruction and its targets.

    Args:
        meta_keys: keys that become metainfo of the data sample, where present.
    """
    mapping_table = PackDetInputs.mapping_table | {'gt_points': 'points'}

    def __init__(self, meta_keys: Sequence[str] = (
            'img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'flip', 'flip_direction', 'text',
            'custom_entities', 'tokens_positive', 'instruction', 'class_names', 'class_labels')) -> None:
        super().__init__(meta_keys=meta_keys)
