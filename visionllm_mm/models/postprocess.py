"""From answers to predictions: kept tokens, their scores, and their points in pixels (docs/decisions.md#score)."""

from dataclasses import dataclass

import numpy as np
import torch
from mmdet.structures import DetDataSample, SampleList
from mmdet.structures.bbox import bbox_overlaps
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask
from torch import Tensor

from ..instructions import Instruction, decode_polygon
from ..structures import ImageTokens
from .layers.location_codec import decode_expected_offsets


@dataclass
class Selection:
    """The (token, class) pairs kept, best first, padded to A per image.

    Attributes:
        scores: (B, A) in [0, 1] but for the certainty, best first; -1 where padded, below the threshold or of no class
            of the set.
        class_rows: (B, A) int64, position of the class in the instruction's set.
        token_slots: (B, A) int64, index into ``tokens``.
        tokens: (B, k) int64, the distinct tokens whose points are decoded.
    """

    scores: Tensor
    class_rows: Tensor
    token_slots: Tensor
    tokens: Tensor


class SetPostprocessor:
    """Scores, keeps and converts answers.

    The score of class c for a token is objectness ** ``objectness_power`` * p(c) * certainty ** ``certainty_power``: p
    is over the set and no-object, and the certainty is how narrow the answers of the location tokens are, see
    :func:`location_certainty`.

    Args:
        max_per_img: the most predictions per image.
        score_thr: predictions below this score are dropped, in [0, 1].
        objectness_power: weight of the objectness in the score, >= 0.
        certainty_power: weight of the certainty of the points in the score, >= 0.
        nms_iou_threshold: a prediction whose box overlaps that of a better one of its class by more is dropped; None:
            none is, as in the paper.
    """

    def __init__(
        self,
        max_per_img: int = 100,
        score_thr: float = 0.0,
        objectness_power: float = 0.1,
        certainty_power: float = 0.5,
        nms_iou_threshold: float | None = None,
    ) -> None:
        self.max_per_img = max_per_img
        self.score_thr = score_thr
        self.objectness_power = objectness_power
        self.certainty_power = certainty_power
        self.nms_iou_threshold = nms_iou_threshold

    def select(self, tokens: ImageTokens, class_logits: Tensor, class_valid: Tensor) -> Selection:
        """Keeps the best (token, class) pairs by what is known so far; only their tokens need the second decoding pass.

        Args:
            tokens: image tokens of B images.
            class_logits: (B, M, K + 1).
            class_valid: (B, K) bool, False where an instruction lists fewer than K classes.
        """
        probabilities = class_logits.softmax(dim=-1)[..., :-1]
        scores = probabilities * tokens.objectness[-1].sigmoid()[..., None] ** self.objectness_power
        scores = scores.masked_fill(~class_valid[:, None], -1)
        num_classes = scores.shape[2]
        # (B, M, K) -> (B, M * K)
        best, pairs = scores.flatten(1).topk(min(self.max_per_img, scores[0].numel()), dim=1)
        best = best.masked_fill(best < self.score_thr, -1)
        token_index = pairs // num_classes
        keep = best >= 0
        used = torch.zeros(scores.shape[:2], dtype=torch.bool, device=scores.device)
        rows, columns = keep.nonzero(as_tuple=True)
        used[rows, token_index[rows, columns]] = True
        width = max(1, int(used.sum(dim=1).max()))
        distinct = used.int().argsort(dim=1, descending=True, stable=True)[:, :width]
        # (B, M), (B, A) -> (B, A)
        slots = used.cumsum(dim=1).gather(1, token_index) - 1
        return Selection(best, pairs % num_classes, slots.clamp(0, width - 1), distinct)

    def __call__(
        self,
        tokens: ImageTokens,
        selection: Selection,
        point_logits: Tensor,
        instructions: list[Instruction],
        data_samples: SampleList,
        rescale: bool,
    ) -> list[InstanceData]:
        """Predictions of B images.

        Args:
            tokens: image tokens.
            selection: from :meth:`select`.
            point_logits: (B, k, N, 2, 2R + 1) of ``selection.tokens``.
            instructions: B instructions.
            data_samples: for image sizes, and ``class_labels`` where the data set's labels differ from the positions in
                the set.
            rescale: whether to return pixels of the original image.
        """
        offsets = decode_expected_offsets(point_logits, point_logits.shape[-1] // 2)
        # (B, M, 2), (B, k) -> (B, k, 2)
        centers = tokens.centers_norm[-1].gather(1, selection.tokens[..., None].expand(-1, -1, 2))
        points = centers[:, :, None] + offsets
        results = []
        for i, instruction in enumerate(instructions):
            count = instruction.num_points
            certainty = location_certainty(point_logits[i, :, :count]) ** self.certainty_power
            scores = selection.scores[i] * certainty[selection.token_slots[i]]
            result, kept = self._one_image(
                points[i, :, :count], scores, i, selection, instruction, data_samples[i], rescale
            )
            coord_range = point_logits.shape[-1] // 2
            bins = point_logits[i, :, :count].argmax(dim=-1) - coord_range
            bins = (bins * (instruction.coord_range / coord_range)).round().long()
            result.offset_bins = bins[selection.token_slots[i][kept]]
            result.class_tokens = kept.new_tensor(instruction.class_indices)[selection.class_rows[i][kept]]
            results.append(result)
        return results

    def keep_best(self, result: InstanceData) -> InstanceData:
        """The ``max_per_img`` predictions of the highest scores, best first."""
        return result[result.scores.topk(min(self.max_per_img, len(result))).indices]

    def _one_image(
        self,
        points_norm: Tensor,
        scores: Tensor,
        i: int,
        selection: Selection,
        instruction: Instruction,
        sample: DetDataSample,
        rescale: bool,
    ) -> tuple[InstanceData, Tensor]:
        """A prediction, and which of the selected pairs it is made of."""
        scores, kept = scores.sort(descending=True, stable=True)
        kept = kept[scores >= self.score_thr]
        scores = scores[: len(kept)]
        rows = selection.class_rows[i][kept]
        height, width = sample.img_shape[:2]
        size = points_norm.new_tensor([width, height])
        points = points_norm[selection.token_slots[i][kept]].clamp(0, 1) * size
        if rescale:
            points = points / points.new_tensor(sample.scale_factor)
        labels = rows if 'class_labels' not in sample else rows.new_tensor(sample.class_labels)[rows]
        result = InstanceData(
            bboxes=torch.cat([points.amin(dim=1), points.amax(dim=1)], dim=1),
            scores=scores,
            labels=labels,
            label_names=[instruction.class_names[row] for row in rows.tolist()],
        )
        if instruction.num_points >= 3 or instruction.point_names:
            result.points = points
        if self.nms_iou_threshold is not None:
            best = nms(result.bboxes, result.labels, self.nms_iou_threshold)
            result, kept = result[best], kept[best]
        if instruction.asks_for_polygons:
            height, width = sample.ori_shape[:2] if rescale else (height, width)
            polygons = result.points.cpu().double().numpy()
            result.mask_rles = [decode_polygon(polygon, height, width) for polygon in polygons]
            result.masks = _fill(result.mask_rles, height, width).to(points.device)
        return result, kept


def empty_prediction(sample: DetDataSample, with_masks: bool) -> DetDataSample:
    """Fills in empty predictions of every kind, with or without masks."""
    sample.pred_instances = InstanceData(
        bboxes=torch.zeros(0, 4),
        scores=torch.zeros(0),
        labels=torch.zeros(0, dtype=torch.long),
        label_names=[],
        points=torch.zeros(0, 1, 2),
        class_tokens=torch.zeros(0, dtype=torch.long),
        offset_bins=torch.zeros(0, 1, 2, dtype=torch.long),
    )
    if with_masks:
        sample.pred_instances.mask_rles = []
        sample.pred_instances.masks = _fill([], *sample.ori_shape[:2])
    sample.pred_text = ''
    return sample


def nms(boxes: Tensor, labels: Tensor, iou_threshold: float) -> Tensor:
    """Non-maximum suppression within classes, in plain PyTorch: mmcv's needs its compiled ops.

    Args:
        boxes: (n, 4), xyxy, best first.
        labels: (n,).
        iou_threshold: the most that a kept box overlaps better ones of its class.

    Returns:
        (n,) bool, which ones are kept.
    """
    rival = (bbox_overlaps(boxes, boxes) > iou_threshold) & (labels[:, None] == labels)
    rival = rival.cpu().numpy()
    kept = np.ones(len(boxes), dtype=bool)
    for i in range(1, len(boxes)):
        kept[i] = not (rival[i, :i] & kept[:i]).any()
    return torch.from_numpy(kept).to(boxes.device)


def location_certainty(point_logits: Tensor) -> Tensor:
    """How sure the location tokens are, in (0, 1]: 1 / (1 + sum over x and y of mean standard deviation / extent).

    Args:
        point_logits: (k, N, 2, 2R + 1).

    Returns:
        (k,).
    """
    bins = torch.arange(point_logits.shape[-1], device=point_logits.device)
    probabilities = point_logits.softmax(dim=-1)
    mean = (probabilities * bins).sum(dim=-1)
    variance = (probabilities * (bins - mean[..., None]) ** 2).sum(dim=-1)
    extent = (mean.amax(dim=1) - mean.amin(dim=1)).clamp(min=1.0)
    return 1 / (1 + (variance.sqrt().mean(dim=1) / extent).sum(dim=-1))


def _fill(rles: list[dict], height: int, width: int) -> Tensor:
    """A of COCO's RLE masks -> (A, H, W) bool; one by one, since all at once would take three times the memory."""
    masks = torch.zeros(len(rles), height, width, dtype=torch.bool)
    for mask, rle in zip(masks, rles, strict=True):
        mask.copy_(torch.from_numpy(coco_mask.decode(rle)))
    return masks
