"""Losses of the task decoder, L_dec, and the alignment loss (paper, section 3.5)."""

import torch
from mmdet.registry import MODELS
from mmdet.utils import reduce_mean
from torch import Tensor, nn
from torch.nn import functional as F

from .layers.location_codec import decode_expected_offsets, encode_soft_targets


@MODELS.register_module()
class ClassTokenLoss(nn.Module):
    """Cross-entropy of the class answers; no-object counts less because most tokens describe nothing.

    A token on an object that the instruction does not ask for counts in full: to answer no-object there is what makes
    a model follow the class set.

    Args:
        loss_weight: weight of the loss.
        none_weight: weight of a no-object answer relative to an object's.
    """

    def __init__(self, loss_weight: float = 1.0, none_weight: float = 0.1) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.none_weight = none_weight

    def forward(self, logits: Tensor, targets: Tensor, distracted: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Weighted sum of the cross-entropies.

        Args:
            logits: (B, M, K + 1), no-object last.
            targets: (B, M) int64, 0 .. K.
            distracted: (B, M) bool, True = on an object that the instruction does not ask for; None: nowhere.

        Returns:
            The sum, and the sum of weights to divide it by.
        """
        background = targets == logits.shape[-1] - 1
        if distracted is not None:
            background &= ~distracted
        weights = torch.where(background, self.none_weight, 1.0)
        # (B, M, K + 1) -> (B * M, K + 1)
        losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction='none')
        return self.loss_weight * (losses * weights.flatten()).sum(), weights.sum()


@MODELS.register_module()
class LocationTokenLoss(nn.Module):
    """Cross-entropy of the location answers with one-hot or Gaussian targets, and the error of their expectation.

    Args:
        loss_weight: weight of the cross-entropy.
        sigma: width in bins of the target; 0: one-hot, as in the paper.
        error_weight: weight of the absolute error of the expected offset, as in Generalized Focal Loss; the
            cross-entropy grows with the square of the error and hardly feels one below a bin. 0: off, as in the paper.
    """

    def __init__(self, loss_weight: float = 1.0, sigma: float = 1.0, error_weight: float = 0.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.sigma = sigma
        self.error_weight = error_weight

    def forward(self, logits: Tensor, offsets_norm: Tensor, valid: Tensor) -> Tensor:
        """Sum over coordinates.

        Args:
            logits: (..., 2R + 1).
            offsets_norm: (...,), offsets from the tokens' centers in [-1, 1].
            valid: (...,) bool, False = no target here.
        """
        coord_range = logits.shape[-1] // 2
        targets = encode_soft_targets(offsets_norm, coord_range, self.sigma)
        losses = -self.loss_weight * (targets * logits.log_softmax(dim=-1)).sum(dim=-1)
        if self.error_weight > 0:
            expected = decode_expected_offsets(logits, coord_range, window=2 * coord_range)
            losses = losses + self.error_weight * (expected - offsets_norm.clamp(-1, 1)).abs()
        return (losses * valid).sum()


@MODELS.register_module()
class AlignmentLoss(nn.Module):
    """Binds tokens to class names: cross-entropy of scaled cosine similarities to the names of the set.

    Args:
        loss_weight: weight of the loss.
        scale: factor of the cosine similarities.
    """

    def __init__(self, loss_weight: float = 1.0, scale: float = 10.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.scale = scale

    def forward(self, contents: Tensor, names: Tensor, name_valid: Tensor, targets: Tensor, valid: Tensor) -> Tensor:
        """Sum over matched tokens.

        Args:
            contents: (B, k, width), projected content of matched tokens.
            names: (B, K, width), name embeddings of the sets.
            name_valid: (B, K) bool, False = padding.
            targets: (B, k) int64, 0 .. K - 1.
            valid: (B, k) bool, False = padding.
        """
        # (B, k, width) @ (B, width, K) -> (B, k, K)
        similarity = self.scale * F.normalize(contents.float(), dim=-1) @ F.normalize(names.float(), dim=-1).mT
        similarity = similarity.masked_fill(~name_valid[:, None], torch.finfo(similarity.dtype).min)
        # (B, k, K) -> (B * k, K)
        losses = F.cross_entropy(similarity.flatten(0, 1), targets.flatten(), reduction='none')
        return self.loss_weight * (losses * valid.flatten()).sum()


@MODELS.register_module()
class TextLoss(nn.Module):
    """Cross-entropy of the next word of answers in text.

    Args:
        loss_weight: weight of the loss.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Mean over the words of all images of all processes.

        Args:
            logits: (B, S, words).
            targets: (B, S) int64, -100 = padding.
        """
        count = reduce_mean((targets != -100).sum().float()).clamp(min=1)
        # (B, S, words) -> (B * S, words)
        return self.loss_weight * F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction='sum') / count
