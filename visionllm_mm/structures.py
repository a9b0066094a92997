"""Values that the blocks of the model hand to each other."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Proposals:
    """What the encoder alone says at each of the S positions of all feature scales.

    Attributes:
        embeddings: (B, S, D).
        centers_norm: (B, S, 2), centre of the object at this position, in [0, 1] of the unpadded image.
        objectness: (B, S) logits; very low where the image is padded.
        priors: (B, S, 3), x, y and stride of the position in px of the unpadded image.
        sizes_norm: (B, S, 2), width and height of the object in [0, 1]; None: the model refines centres alone.
    """

    embeddings: Tensor
    centers_norm: Tensor
    objectness: Tensor
    priors: Tensor
    sizes_norm: Tensor | None = None

    @property
    def places_norm(self) -> Tensor:
        """(B, S, 2 or 4): centres, and sizes where the model refines them."""
        return self.centers_norm if self.sizes_norm is None else torch.cat([self.centers_norm, self.sizes_norm], dim=-1)


@dataclass
class ImageTokens:
    """M image tokens T = {(e_i, l_i)} of a batch (paper, section 3.3).

    Attributes:
        embeddings: (layers, B, M, D), e_i per decoder layer; the last layer's are the tokens' own, here and below.
        centers_norm: (layers, B, M, 2), l_i = (x, y) in [0, 1] of the unpadded image.
        objectness: (layers, B, M) logits that a token describes an object the instruction asks for.
        proposals: what the encoder proposes; None: the model makes no proposals.
        sizes_norm: (layers, B, M, 2), width and height of the object in [0, 1]; None: the model refines centres alone.
        extra: further tokens that began at places given to the tokenizer; None: there were none.
    """

    embeddings: Tensor
    centers_norm: Tensor
    objectness: Tensor
    proposals: Proposals | None = None
    sizes_norm: Tensor | None = None
    extra: 'ImageTokens | None' = None

    @property
    def places_norm(self) -> Tensor:
        """(layers, B, M, 2 or 4): centres, and sizes where the model refines them."""
        return self.centers_norm if self.sizes_norm is None else torch.cat([self.centers_norm, self.sizes_norm], dim=-1)


@dataclass
class SetTargets:
    """What the tokens of one image should describe and answer: K objects in any order.

    Attributes:
        class_index: (K,) int64, position of the object's name among those that the tokens are aligned with: in the
            instruction's set, or, where all objects of an image are known by names, among these.
        points_norm: (K, N, 2), points in [0, 1] of the unpadded image; NaN where a point is not labelled.
        image_size: (2,), width and height of the unpadded image in px.
        distractors_norm: (U, 2, 2), corners of the boxes of further objects, which the instruction does not ask for.
        boxes_norm: (K, 2, 2), corners of the objects' boxes, which a few boundary points or keypoints need not reach;
            None: the boxes around the points.
        asked_class: (K,) int64, position of the object's class in the instruction's set, -1: not asked for; None: that
            is ``class_index``.
        outlines_norm: (K + U, P, 2), P boundary points of the objects and then of the distractors, whatever the
            instruction asks for; NaN where an object has no outline; None: not known, P = 0.
    """

    class_index: Tensor
    points_norm: Tensor
    image_size: Tensor
    distractors_norm: Tensor
    boxes_norm: Tensor | None = None
    asked_class: Tensor | None = None
    outlines_norm: Tensor | None = None

    def __post_init__(self) -> None:
        if self.boxes_norm is None:
            self.boxes_norm = _corners(self.points_norm)
        if self.asked_class is None:
            self.asked_class = self.class_index
        if self.outlines_norm is None:
            self.outlines_norm = self.boxes_norm.new_zeros(len(self.all_boxes_norm), 0, 2)

    @property
    def centers_norm(self) -> Tensor:
        """(K, 2), middles of the boxes."""
        return self.boxes_norm.mean(dim=1)

    @property
    def sizes_norm(self) -> Tensor:
        """(K, 2), width and height of the boxes."""
        low, high = self.boxes_norm.unbind(dim=1)
        return high - low

    @property
    def places_norm(self) -> Tensor:
        """(K, 4): centres and sizes."""
        return torch.cat([self.centers_norm, self.sizes_norm], dim=1)

    @property
    def boxes_xyxy(self) -> Tensor:
        """(K, 4), px."""
        return (self.boxes_norm * self.image_size).flatten(1)

    @property
    def all_boxes_norm(self) -> Tensor:
        """(K + U, 2, 2), corners of the objects and then of the distractors, in [0, 1]."""
        return torch.cat([self.boxes_norm, self.distractors_norm])

    @property
    def unasked_norm(self) -> Tensor:
        """(U', 2, 2), corners of all objects that the instruction does not ask for, in [0, 1]."""
        return torch.cat([self.boxes_norm[self.asked_class < 0], self.distractors_norm])

    def __len__(self) -> int:
        return len(self.class_index)


def _corners(points: Tensor) -> Tensor:
    """(K, N, 2) -> (K, 2, 2), top-left and bottom-right corner around the points that are labelled."""
    unknown = points.isnan()
    return torch.stack(
        [points.masked_fill(unknown, torch.inf).amin(dim=1), points.masked_fill(unknown, -torch.inf).amax(dim=1)], dim=1
    )
