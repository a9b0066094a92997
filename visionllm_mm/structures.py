"""Values that the blocks of the model hand to each other."""

from dataclasses import dataclass

from torch import Tensor


@dataclass
class ImageTokens:
    """M image tokens T = {(e_i, l_i)} of a batch (paper, section 3.3).

    Attributes:
        embeddings: (layers, B, M, D), e_i per decoder layer; the last layer's are the tokens' own, here and below.
        centers_norm: (layers, B, M, 2), l_i = (x, y) in [0, 1] of the unpadded image.
        objectness: (layers, B, M) logits that a token describes an object the instruction asks for.
    """
    embeddings: Tensor
    centers_norm: Tensor
    objectness: Tensor


@dataclass
class SetTargets:
    """What the tokens of one image should answer: K objects in any order.

    Attributes:
        class_index: (K,) int64, position of the object's class in the instruction's set.
        points_norm: (K, N, 2), points in [0, 1] of the unpadded image.
    """
    class_index: Tensor
    points_norm: Tensor

    @property
    def centers_norm(self) -> Tensor:
        """(K, 2), middle of the points' bounding box."""
        return (self.points_norm.amin(dim=1) + self.points_norm.amax(dim=1)) / 2

    def __len__(self) -> int:
        return len(self.class_index)
