"""Proposals of the image tokenizer's encoder, as in two-stage Deformable DETR, but guided by the instruction."""

import torch
from mmdet.models.layers import DeformableDetrTransformerEncoder
from mmdet.models.layers.transformer.utils import inverse_sigmoid
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy, bbox_overlaps
from mmengine.model import bias_init_with_prob
from torch import Tensor, nn
from torch.nn import functional as F

from ...structures import Proposals


def place_head(dims: int, refine_sizes: bool) -> nn.Sequential:
    """(..., ``dims``) -> (..., 2 or 4), change of centre (and size) before the sigmoid; zero at first."""
    head = nn.Sequential(
        nn.Linear(dims, dims), nn.ReLU(), nn.Linear(dims, dims), nn.ReLU(), nn.Linear(dims, 4 if refine_sizes else 2)
    )
    nn.init.zeros_(head[-1].weight)
    nn.init.zeros_(head[-1].bias)
    return head


def objectness_head(dims: int) -> nn.Linear:
    """(..., ``dims``) -> (..., 1) logits; a probability of 0.01 at first, as most places show nothing."""
    head = nn.Linear(dims, 1)
    nn.init.constant_(head.bias, bias_init_with_prob(0.01))
    return head


class EncoderProposals(nn.Module):
    """Objectness and centre (and size) at every position of the encoded feature scales.

    Trained at many positions per object, so the features learn what the instruction asks for long before the few
    one-to-one matched image tokens teach it; and the most promising positions are where the image tokens start.

    Args:
        dims: D.
        refine_sizes: whether positions propose a size, too; from mmdet's prior of 0.05 on the first scale, twice that
            on the next, and so on.
    """

    def __init__(self, dims: int, refine_sizes: bool = False) -> None:
        super().__init__()
        self.objectness = objectness_head(dims)
        self.place = place_head(dims, refine_sizes)
        self.refine_sizes = refine_sizes

    def forward(
        self, memory: Tensor, padding: Tensor | None, spatial_shapes: Tensor, valid_ratios: Tensor, data_samples: list
    ) -> Proposals:
        """Proposals of a batch.

        Args:
            memory: (B, S, D), encoded features of all scales.
            padding: (B, S) bool, True = padding; None: no image is padded.
            spatial_shapes: (L, 2) int64, height and width of the scales.
            valid_ratios: (B, L, 2), part of width and height that is not padding.
            data_samples: B samples with ``batch_input_shape`` and ``img_shape``, px.
        """
        reference = DeformableDetrTransformerEncoder.get_encoder_reference_points(
            spatial_shapes, valid_ratios, memory.device
        )
        points_norm = reference[:, :, 0] / valid_ratios[:, None, 0]
        areas = spatial_shapes.prod(dim=1)
        prior = points_norm
        if self.refine_sizes:
            sizes = 0.05 * 2.0 ** torch.arange(len(areas), device=memory.device).repeat_interleave(areas)
            prior = torch.cat([points_norm, sizes[None, :, None].expand(len(memory), -1, 2)], dim=2)
        places = (self.place(memory) + inverse_sigmoid(prior)).sigmoid()
        objectness = self.objectness(memory).squeeze(-1)
        if padding is not None:
            objectness = objectness.masked_fill(padding, -1e4)
        image_sizes = points_norm.new_tensor([sample.img_shape[1::-1] for sample in data_samples])
        input_height = data_samples[0].batch_input_shape[0]
        # The scale's nominal stride, a power of 2, also where the image is not a multiple of it.
        strides = 2 ** (input_height / spatial_shapes[:, 0].float()).log2().round()
        strides = strides.repeat_interleave(areas)
        strides = strides[None, :, None].expand(len(memory), -1, -1)
        priors = torch.cat([points_norm * image_sizes[:, None], strides], dim=2)
        return Proposals(memory, places[..., :2], objectness, priors, places[..., 2:] if self.refine_sizes else None)


def best_positions(objectness: Tensor, spatial_shapes: Tensor, count: int) -> Tensor:
    """The positions where image tokens start, best first: local peaks before all others.

    Neighbours of a peak see the same object. Tokens that start at one place are hard to tell apart, and each of them
    would answer for that object.

    Args:
        objectness: (B, S) logits of all scales.
        spatial_shapes: (L, 2) int64, height and width of the scales.
        count: M, at most S.

    Returns:
        (B, M) int64.
    """
    ranks = []
    for level, (height, width) in zip(
        objectness.split(spatial_shapes.prod(dim=1).tolist(), dim=1), spatial_shapes.tolist(), strict=True
    ):
        scores = level.sigmoid().unflatten(1, (1, height, width))
        # In the padding all scores are 0; nothing there is a peak.
        peak = (scores == F.max_pool2d(scores, 3, stride=1, padding=1)) & (scores > 0)
        ranks.append((scores + peak).flatten(1))
    return torch.cat(ranks, dim=1).topk(count, dim=1).indices


def distinct_first(places: Tensor, max_iou: float) -> Tensor:
    """Orders proposals so that those which find an object that a better one has found come last.

    Two scales, or two peaks on a large object, often propose the same box; a token for each of them is a token that
    another object may lack ("dense distinct queries", arXiv 2303.12776; the overlaps are taken as in YOLACT's fast NMS,
    where one that is put back counts, too).

    Args:
        places: (B, C, 4), centre and size of the proposals, best first.
        max_iou: overlap with a better proposal above which one is put back, in [0, 1].

    Returns:
        (B, C) int64, the new order; else as it was.
    """
    boxes = bbox_cxcywh_to_xyxy(places)
    overlap = bbox_overlaps(boxes, boxes).tril(diagonal=-1).amax(dim=2)
    return (overlap > max_iou).int().argsort(dim=1, stable=True)
