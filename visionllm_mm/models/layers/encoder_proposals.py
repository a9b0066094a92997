"""Proposals of the image tokenizer's encoder, as in two-stage Deformable DETR, but guided by the instruction."""

import torch
from mmdet.models.layers import DeformableDetrTransformerEncoder
from mmdet.models.layers.transformer.utils import inverse_sigmoid
from mmengine.model import bias_init_with_prob
from torch import Tensor, nn
from torch.nn import functional as F

from ...structures import Proposals


def box_head(dims: int, box_dims: int) -> nn.Sequential:
    """(..., ``dims``) -> (..., ``box_dims``), change of center (and size) before the sigmoid; zero at first."""
    head = nn.Sequential(nn.Linear(dims, dims), nn.ReLU(), nn.Linear(dims, dims), nn.ReLU(), nn.Linear(dims, box_dims))
    nn.init.zeros_(head[-1].weight)
    nn.init.zeros_(head[-1].bias)
    return head


def objectness_head(dims: int) -> nn.Linear:
    """(..., ``dims``) -> (..., 1) logits; a probability of 0.01 at first, as most positions show nothing."""
    head = nn.Linear(dims, 1)
    nn.init.constant_(head.bias, bias_init_with_prob(0.01))
    return head


class EncoderProposals(nn.Module):
    """Objectness and box at every position of the encoded feature scales; the image tokens start at the best ones.

    Sizes start from mmdet's prior of 0.05 on the first scale, twice that on the next, and so on.

    Args:
        dims: D.
    """

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.objectness = objectness_head(dims)
        self.place = box_head(dims, 4)

    def forward(
        self,
        memory: Tensor,
        padding: Tensor | None,
        spatial_shapes: Tensor,
        valid_ratios: Tensor,
        data_samples: list,
    ) -> Proposals:
        """Proposals of a batch.

        Args:
            memory: (B, E, D), encoded features of all scales.
            padding: (B, E) bool, True = padding; None: no image is padded.
            spatial_shapes: (L, 2) int64, height and width of the scales.
            valid_ratios: (B, L, 2), part of width and height that is not padding.
            data_samples: B samples with ``batch_input_shape`` and ``img_shape``, px.
        """
        reference = DeformableDetrTransformerEncoder.get_encoder_reference_points(
            spatial_shapes, valid_ratios, memory.device
        )
        points_norm = reference[:, :, 0] / valid_ratios[:, None, 0]  # (B, E, 2)
        areas = spatial_shapes.prod(dim=1)
        sizes = 0.05 * 2.0 ** torch.arange(len(areas), device=memory.device).repeat_interleave(areas)  # (E,)
        prior = torch.cat([points_norm, sizes[None, :, None].expand(len(memory), -1, 2)], dim=2)  # (B, E, 4)
        boxes = (self.place(memory) + inverse_sigmoid(prior)).sigmoid()
        objectness = self.objectness(memory).squeeze(-1)
        if padding is not None:
            objectness = objectness.masked_fill(padding, -1e4)
        image_sizes = points_norm.new_tensor([sample.img_shape[1::-1] for sample in data_samples])
        input_height = data_samples[0].batch_input_shape[0]
        # The scale's nominal stride, a power of 2, also where the image is not a multiple of it.
        strides = 2 ** (input_height / spatial_shapes[:, 0].float()).log2().round()
        strides = strides.repeat_interleave(areas)[None, :, None].expand(len(memory), -1, -1)  # (B, E, 1)
        priors = torch.cat([points_norm * image_sizes[:, None], strides], dim=2)
        return Proposals(memory, boxes[..., :2], boxes[..., 2:], objectness, priors)


def best_positions(objectness: Tensor, spatial_shapes: Tensor, count: int) -> Tensor:
    """The positions where image tokens start, best first: local peaks before all others.

    Neighbors of a peak see the same object. Tokens that start at one position are hard to tell apart, and each of them
    would answer for that object.

    Args:
        objectness: (B, E) logits of all scales.
        spatial_shapes: (L, 2) int64, height and width of the scales.
        count: M, at most E.

    Returns:
        (B, M) int64.
    """
    ranks = []
    for level, (height, width) in zip(
        objectness.split(spatial_shapes.prod(dim=1).tolist(), dim=1), spatial_shapes.tolist(), strict=True
    ):
        scores = level.sigmoid().unflatten(1, (1, height, width))  # (B, H_l * W_l) -> (B, 1, H_l, W_l)
        # In the padding all scores are 0; nothing there is a peak.
        peak = (scores == F.max_pool2d(scores, 3, stride=1, padding=1)) & (scores > 0)
        ranks.append((scores + peak).flatten(1))
    return torch.cat(ranks, dim=1).topk(count, dim=1).indices
