"""Instructions that ask for the objects of a class set, and their targets."""

import re
from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS

from ...instructions import (
    Vocabulary,
    build_instruction,
    check_class_names,
    check_names,
    choose_templates,
    encode_polygon,
    point_format,
    sample_class_set,
    warn_of_similar_names,
)
from .masks import are_known


class SetInstruction(BaseTransform):
    """Writes an instruction that asks for all objects of a class set, each as a class and points.

    Required keys: ``text``, where the sample brings its class set: a sequence of names (CocoDataset with
    ``return_classes=True``) or, with ``custom_entities=True``, names joined by `` . `` as mmdet's inference API takes
    them. While training also ``gt_bboxes``, ``gt_bboxes_labels`` and ``gt_ignore_flags``.

    Added keys: ``instruction``, ``class_names`` and ``class_labels`` (the data set's label of each class,
    in the instruction's order). While training, labels become indices into the set, or -1 for objects that the
    instruction does not ask for, and ``gt_points`` (K, N, 2), float32 px, holds the points of each object. While
    evaluating, ``class_groups`` holds (instruction, class_labels) pairs where there are more classes than
    ``max_classes``; the keys above are those of the first pair.

    Args:
        vocabulary: arguments of :class:`Vocabulary`, the model's.
        classes: class set of samples that bring none.
        training: whether templates, subset and order are sampled at random and targets are added.
        templates: templates, or a file of them as ``tools/expand_templates.py`` writes it; None: the task's own.
            Evaluation uses the one with index ``template_index``.
        template_index: index of the template for evaluation.
        subset_prob: probability of a random subset while training, in [0, 1].
        shuffle: whether the set is in random order while training; else it is in the data set's order.
        max_classes: the largest number of classes per instruction; where a data set has more, evaluation asks for them
            in groups, and training for a random group. None: one instruction asks for all of them.
        plain_names: whether names are written without underscores and brackets, LVIS's ``bow_(weapon)`` as
            ``bow weapon``.

    Raises:
        ValueError: for a class set that can't be asked for, or a bad ``template_index``.
    """

    task: str
    point_names: Sequence[str] | None = None
    num_points: tuple[int, int]
    """Lowest and highest number of points N of an instruction."""

    def __init__(
        self,
        vocabulary: dict,
        classes: Sequence[str] | None = None,
        training: bool = False,
        templates: Sequence[str] | str | None = None,
        template_index: int = 0,
        subset_prob: float = 0.5,
        shuffle: bool = True,
        max_classes: int | None = None,
        plain_names: bool = False,
    ) -> None:
        self.vocabulary = Vocabulary(**vocabulary)
        self.plain_names = plain_names
        self.training = training
        self.templates = choose_templates(self.task, templates)
        if not 0 <= template_index < len(self.templates):
            raise ValueError(f'template_index must be 0 .. {len(self.templates) - 1}, got {template_index}')
        self.template_index = template_index
        self.subset_prob = subset_prob
        self.shuffle = shuffle
        self.grouped = max_classes is not None
        self.max_classes = min(max_classes or self.vocabulary.num_classes, self.vocabulary.num_classes)
        if classes is not None:
            check_class_names(classes, None if self.grouped or training else self.vocabulary.num_classes)
            warn_of_similar_names(classes)
        self.classes = classes if classes is None else list(map(str, classes))

    @abstractmethod
    def make_points(self, results: dict, num_points: int) -> np.ndarray:
        """Points of all objects, (K, N, 2) float32 px; may remove objects without points."""

    def transform(self, results: dict) -> dict:
        names = self._write_names(self._class_names(results))
        template, chosen = self.templates[self.template_index], list(range(len(names)))
        if self.training:
            present = [label for label in np.unique(results['gt_bboxes_labels']).tolist() if label >= 0]
            chosen = sample_class_set(
                len(names), present, np.random, subset_prob=self.subset_prob, max_classes=self.max_classes
            )
            chosen = chosen if self.shuffle else sorted(chosen)
            template = self.templates[np.random.randint(len(self.templates))]
        low, high = self.num_points
        num_points = low if low == high else np.random.randint(low, high + 1)
        groups = [chosen]
        if self.grouped:
            check_class_names(names, None)
            groups = [chosen[i : i + self.max_classes] for i in range(0, len(chosen), self.max_classes)]
        texts = [
            build_instruction(
                template, [names[label] for label in group], point_format(num_points), self.vocabulary, self.point_names
            )
            for group in groups
        ]
        results['instruction'], results['class_labels'] = texts[0], groups[0]
        results['class_names'] = [names[label] for label in groups[0]]
        if len(groups) > 1:
            results['class_groups'] = list(zip(texts, groups, strict=True))
        if self.training:
            results['gt_points'] = self.make_points(results, num_points)
            set_index = {label: i for i, label in enumerate(chosen)}
            results['gt_bboxes_labels'] = np.array(
                [set_index.get(label, -1) for label in results['gt_bboxes_labels']], dtype=np.int64
            )
        return results

    def longest_instructions(self, names: Sequence[str]) -> list[str]:
        """The instructions for these classes; while training, every template with the longest class names."""
        names = self._write_names(names)
        groups = [names[i : i + self.max_classes] for i in range(0, len(names), self.max_classes)]
        templates = self.templates[self.template_index : self.template_index + 1]
        if self.training:
            groups, templates = [sorted(names, key=len, reverse=True)[: self.max_classes]], self.templates
        return [
            build_instruction(template, group, point_format(self.num_points[1]), self.vocabulary, self.point_names)
            for template in templates
            for group in groups
        ]

    def _write_names(self, names: Sequence[str]) -> list[str]:
        return [re.sub(r'[_()\s]+', ' ', name).strip() if self.plain_names else name for name in names]

    def _class_names(self, results: dict) -> list[str]:
        text = results.get('text')
        if text is None:
            text = self.classes
        if text is None:
            raise ValueError(
                'no class set: give classes= to DetectionInstruction, set return_classes=True on the '
                "data set, or pass text_prompt='circle . star' and custom_entities=True"
            )
        if not isinstance(text, str):
            return list(text)
        if not results.get('custom_entities'):
            raise ValueError(
                f'the class set is the string {text!r}: name classes as "a . b" and pass custom_entities=True'
            )
        return [name.strip() for name in text.strip().strip('.').split(' . ') if name.strip()]


@TRANSFORMS.register_module()
class DetectionInstruction(SetInstruction):
    """Asks for boxes: N = 2, the top-left and the bottom-right corner. Arguments: see :class:`SetInstruction`."""

    task = 'detection'
    num_points = 2, 2

    def make_points(self, results: dict, num_points: int) -> np.ndarray:
        return results['gt_bboxes'].tensor.numpy().astype(np.float32).reshape(-1, num_points, 2)


@TRANSFORMS.register_module()
class GroundingInstruction(DetectionInstruction):
    """Asks for the box of the object that an expression describes: detection with the set ``{expression: <c0>}``.

    ``text`` is the expression, as mmdet's MDETRStyleRefCocoDataset gives it; every annotated box of the sample is a
    described object, whatever its category, and there may be none. Where the key ``described`` states which objects are
    described (:class:`ReferringExpressionDataset`), the others get the label -1, and ``object_labels`` keeps the labels
    of all.
    Arguments: see :class:`SetInstruction`.
    """

    task = 'grounding'

    def _class_names(self, results: dict) -> list[str]:
        text = results.get('text')
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"grounding needs an expression such as 'the red star' as text, got {text!r}")
        return [text.strip()]

    def transform(self, results: dict) -> dict:
        if self.training:
            labels = results['gt_bboxes_labels']
            results['gt_bboxes_labels'] = np.zeros_like(labels)
            if 'described' in results:
                results['object_labels'] = labels
                results['gt_bboxes_labels'] -= ~np.array(results['described'], dtype=bool)
        return super().transform(results)


@TRANSFORMS.register_module()
class SegmentationInstruction(SetInstruction):
    """Asks for polygons of N points.

    While training it also needs ``gt_masks`` (:class:`LoadKnownMasks` with ``with_mask=True``). An object whose mask
    became empty, by resizing or cropping, is removed. One whose mask is not known stays: its points are NaN.

    Args:
        vocabulary: see :class:`SetInstruction`.
        num_points: N, or while training the range (lowest, highest) of N; 3 .. the vocabulary's ``max_points``.
        kwargs: see :class:`SetInstruction`.

    Raises:
        ValueError: also when ``num_points`` is out of range, or a range while evaluating.
    """

    task = 'segmentation'

    def __init__(self, vocabulary: dict, num_points: int | tuple[int, int] = 24, **kwargs) -> None:
        super().__init__(vocabulary, **kwargs)
        low, high = (num_points, num_points) if isinstance(num_points, int) else num_points
        if not 3 <= low <= high <= self.vocabulary.max_points:
            raise ValueError(
                f'num_points must lie within 3 .. {self.vocabulary.max_points} (max_points of the '
                f'vocabulary), got {num_points}'
            )
        if low < high and not self.training:
            raise ValueError(f'evaluation needs one number of points, got the range {num_points}')
        self.num_points = low, high

    def make_points(self, results: dict, num_points: int) -> np.ndarray:
        masks = results['gt_masks'].to_ndarray()
        visible = masks.any(axis=(1, 2))
        for key in ('gt_bboxes', 'gt_bboxes_labels', 'gt_ignore_flags', 'gt_masks'):
            results[key] = results[key][visible]
        masks = masks[visible]
        points = np.full((len(masks), num_points, 2), np.nan, dtype=np.float32)
        for i in np.nonzero(are_known(masks))[0]:
            points[i] = encode_polygon(masks[i], num_points)
        return points


@TRANSFORMS.register_module()
class KeypointInstruction(SetInstruction):
    """Asks for named keypoints, as (c, x1, y1, ..., xK, yK) with the names in the instruction.

    While training it needs ``gt_keypoints`` (K, P, 3), x and y in px of the image file and COCO's visibility, from
    KeypointCocoDataset. Of the transforms that move objects, only Resize and RandomCrop may precede it: a flip would
    exchange left and right points. Points that are not labeled (visibility 0) or cropped off are no targets; an object
    without a labeled point is removed.

    Args:
        vocabulary: see :class:`SetInstruction`.
        point_names: names of the points, in the order of the data set.
        kwargs: see :class:`SetInstruction`.

    Raises:
        TypeError: also when a name is not a string.
        ValueError: also when a name is blank or listed twice, there are more points than the vocabulary has, the data
            has another number of points, the image was flipped, or a transform removed boxes.
    """

    task = 'keypoints'

    def __init__(self, vocabulary: dict, point_names: Sequence[str], **kwargs) -> None:
        super().__init__(vocabulary, **kwargs)
        check_names(point_names, 'point names')
        if not 1 <= len(point_names) <= self.vocabulary.max_points:
            raise ValueError(
                f'{len(point_names)} point names, but a format has 1 .. {self.vocabulary.max_points} '
                'points (max_points of the vocabulary)'
            )
        self.point_names = tuple(point_names)
        self.num_points = len(point_names), len(point_names)

    def make_points(self, results: dict, num_points: int) -> np.ndarray:
        if results.get('flip'):
            raise ValueError('KeypointInstruction can not follow a flip: take RandomFlip out of the pipeline')
        keypoints = results['gt_keypoints']
        if keypoints.shape[1] != num_points:
            raise ValueError(
                f'{results.get("img_path")} has {keypoints.shape[1]} keypoints per object, but '
                f'{num_points} names are given: {list(self.point_names)}'
            )
        keypoints = keypoints[results.get('gt_instances_ids', slice(None))]
        if len(keypoints) != len(results['gt_bboxes']):
            raise ValueError(
                f'{results.get("img_path")} has keypoints of {len(keypoints)} objects, but '
                f'{len(results["gt_bboxes"])} boxes: of the transforms that remove boxes only RandomCrop '
                'can be in the pipeline, after LoadKeypoints'
            )
        # mmdet records in it what Resize and RandomCrop did to the image; mmcv's own Resize records the scale alone.
        matrix = results.get('homography_matrix', np.diag([*results.get('scale_factor', (1.0, 1.0)), 1.0]))
        points = keypoints[..., :2] @ matrix[:2, :2].T + matrix[:2, 2]
        height, width = results['img_shape'][:2]
        labeled = (keypoints[..., 2] > 0) & ((points >= 0) & (points <= (width, height))).all(axis=-1)
        known = labeled.any(axis=1)
        for key in ('gt_bboxes', 'gt_bboxes_labels', 'gt_ignore_flags', 'gt_masks'):
            if key in results:
                results[key] = results[key][known]
        points[~labeled] = np.nan
        return points[known].astype(np.float32)
