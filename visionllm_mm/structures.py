"""Values that the blocks of the model hand to each other, and the keys of data samples.

Keys of a data sample beside mmdet's own. In ``gt_instances``:

=======================  ==============================================================================================
``labels``               (G,) int64, position of the object's class in the instruction's set; -1: not in it
``points``               (G, N, 2), px, the points that the output format asks for; NaN where one is not labelled
``polygons``             (G, P, 2), px, polygon points of all objects, for :class:`QueryPolygonLoss`
``object_labels``        (G,) int64, position of the object's name in ``object_names``
=======================  ==============================================================================================

In the metainfo:

=======================  ==============================================================================================
``instruction``          str with ``<image>``: the task, the class set, the output format
``class_names``          list[str], the class set of the instruction
``class_labels``         list[int], label in the data set of each class of the set
``class_groups``         list of (instruction, class labels), where one instruction can't name all classes
``object_names``         list[str], names of all objects that the image shows, whatever the instruction asks for
``scrambled_instruction``  str, the instruction in other words, for :class:`FormatLoss`
``noise_seed``           int, seed of the noise that :class:`Denoising` adds
``text``                 str, a referring expression; ``custom_entities`` and ``tokens_positive`` as in mmdet
``described``            tuple[bool], which objects of the image the expression means (data sets alone)
``question``             str, the first question of a conversation
``history``              tuple[str], what follows the first question: answer, question, answer, ..., question
``answer``               tuple[str], what the model is to generate: answer, question, answer, ...
``gt_caption``           list[str], the reference texts of a metric
``question_type``        str, kind of question; ``turn``: int, its position in the conversation
``question_phrases``     per question, the phrases that stand for objects: (text, rows of the objects)
``expects_masks``        bool, whether a metric expects masks of this sample
``failure``              str, why the sample could not be loaded or answered
``picture_name``         str, file below ``vis/`` of the inferencer's ``out_dir``
``answer_name``          str, file below ``preds/`` of ``out_dir``, without ``.json``
``pred_text``            str, the generated text (a prediction, no metainfo)
=======================  ==============================================================================================
"""

from dataclasses import dataclass

import torch
from mmdet.structures import SampleList
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from .instructions import Instruction


@dataclass
class Proposals:
    """What the encoder alone predicts at each of the E positions of all feature scales.

    Attributes:
        embeddings: (B, E, D).
        centers_norm: (B, E, 2), center of the object at this position, in [0, 1] of the unpadded image.
        sizes_norm: (B, E, 2), width and height of the object in [0, 1].
        objectness: (B, E) logits; very low where the image is padded.
        priors: (B, E, 3), x, y and stride of the position in px of the unpadded image.
    """

    embeddings: Tensor
    centers_norm: Tensor
    sizes_norm: Tensor
    objectness: Tensor
    priors: Tensor

    @property
    def boxes_cxcywh(self) -> Tensor:
        """(B, E, 4) in [0, 1], centers and sizes."""
        return torch.cat([self.centers_norm, self.sizes_norm], dim=-1)


@dataclass
class ImageTokens:
    """M image tokens T = {(e_i, l_i)} of a batch (paper, section 3.3).

    Attributes:
        embeddings: (layers, B, M, D), e_i per decoder layer; the last layer's are the tokens' own, here and below.
        centers_norm: (layers, B, M, 2), l_i = (x, y) in [0, 1] of the unpadded image.
        objectness: (layers, B, M) logits that a token describes an object the instruction asks for.
        sizes_norm: (layers, B, M, 2), width and height of the object in [0, 1]; None: the tokenizer predicts centers
            alone.
        proposals: what the encoder proposes; None: the tokenizer has one stage.
        extra: the tokens of the extra boxes that were given to the tokenizer; None: there were none.
    """

    embeddings: Tensor
    centers_norm: Tensor
    objectness: Tensor
    sizes_norm: Tensor | None = None
    proposals: Proposals | None = None
    extra: 'ImageTokens | None' = None

    @property
    def boxes_cxcywh(self) -> Tensor:
        """(layers, B, M, 2 or 4) in [0, 1]: centers, and sizes where the tokenizer predicts them."""
        return self.centers_norm if self.sizes_norm is None else torch.cat([self.centers_norm, self.sizes_norm], dim=-1)


@dataclass
class NameSets:
    """Names of classes, K per image where padded.

    Attributes:
        name_embeddings: (B, K, width), mean word embedding of each name.
        class_valid: (B, K) bool, False where padded.
    """

    name_embeddings: Tensor
    class_valid: Tensor


@dataclass
class SetTargets:
    """What the tokens of one image should describe and answer: G objects in any order.

    Attributes:
        class_index: (G,) int64, position of the object's name among those that the tokens are aligned with: in the
            instruction's set, or, where all objects of an image are known by names, among these.
        points_norm: (G, N, 2), points in [0, 1] of the unpadded image; NaN where a point is not labelled.
        image_size: (2,), width and height of the unpadded image in px.
        distractors_norm: (U, 2, 2), corners of the boxes of further objects, which the instruction does not ask for.
        boxes_norm: (G, 2, 2), corners of the objects' boxes, which a few polygon points or keypoints need not reach;
            None: the boxes around the points.
        target_class: (G,) int64, position of the object's class in the instruction's set, -1: not asked for; None: that
            is ``class_index``.
        polygons_norm: (G + U, P, 2), P polygon points of the objects and then of the distractors, whatever the
            instruction asks for; NaN where an object has no polygon; None: not known, P = 0.
    """

    class_index: Tensor
    points_norm: Tensor
    image_size: Tensor
    distractors_norm: Tensor
    boxes_norm: Tensor | None = None
    target_class: Tensor | None = None
    polygons_norm: Tensor | None = None

    def __post_init__(self) -> None:
        if self.boxes_norm is None:
            self.boxes_norm = _corners(self.points_norm)
        if self.target_class is None:
            self.target_class = self.class_index
        if self.polygons_norm is None:
            self.polygons_norm = self.boxes_norm.new_zeros(len(self.all_boxes_norm), 0, 2)

    @property
    def centers_norm(self) -> Tensor:
        """(G, 2), centers of the boxes."""
        return self.boxes_norm.mean(dim=1)

    @property
    def sizes_norm(self) -> Tensor:
        """(G, 2), width and height of the boxes."""
        low, high = self.boxes_norm.unbind(dim=1)
        return high - low

    @property
    def boxes_cxcywh(self) -> Tensor:
        """(G, 4) in [0, 1], centers and sizes."""
        return torch.cat([self.centers_norm, self.sizes_norm], dim=1)

    @property
    def boxes_xyxy(self) -> Tensor:
        """(G, 4), px."""
        return (self.boxes_norm * self.image_size).flatten(1)

    @property
    def all_boxes_norm(self) -> Tensor:
        """(G + U, 2, 2), corners of the objects and then of the distractors, in [0, 1]."""
        return torch.cat([self.boxes_norm, self.distractors_norm])

    @property
    def distractor_boxes(self) -> Tensor:
        """(U', 2, 2) in [0, 1], corners of all objects that the instruction does not ask for."""
        return torch.cat([self.boxes_norm[self.target_class < 0], self.distractors_norm])

    def __len__(self) -> int:
        return len(self.class_index)


def _corners(points: Tensor) -> Tensor:
    """(G, N, 2) -> (G, 2, 2), top-left and bottom-right corner around the points that are labelled."""
    unknown = points.isnan()
    return torch.stack(
        [
            points.masked_fill(unknown, torch.inf).amin(dim=1),
            points.masked_fill(unknown, -torch.inf).amax(dim=1),
        ],
        dim=1,
    )


@dataclass
class Matches:
    """Tokens matched to objects, padded to k per image, k >= 1.

    Attributes:
        tokens: (B, k) int64, token of each match; 0 where padded.
        valid: (B, k) bool, False = padding.
        objects: (B, k) int64, which of the image's objects.
        class_index: (B, k) int64, position of the object's name, see :class:`SetTargets`.
        target_class: (B, k) int64, position of the object's class in the instruction's set, -1: not asked for.
        points_norm: (B, k, N, 2), points of the object in [0, 1] of the unpadded image.
        point_valid: (B, k, N) bool, False where padded, where this image's format has fewer points, and where a point
            is not labelled.
        centers_norm: (B, k, 2), center of the object.
        sizes_norm: (B, k, 2), width and height of the object.
        polygons_norm: (B, k, P, 2), polygon points of the object, whatever is asked for; P = 0: none are known.
        polygon_valid: (B, k, P) bool, as ``point_valid``.
    """

    tokens: Tensor
    valid: Tensor
    objects: Tensor
    class_index: Tensor
    target_class: Tensor
    points_norm: Tensor
    point_valid: Tensor
    centers_norm: Tensor
    sizes_norm: Tensor
    polygons_norm: Tensor
    polygon_valid: Tensor

    @classmethod
    def collate(cls, rows: list[dict[str, Tensor]]) -> 'Matches':
        """Pads the matches of B images, each given by the attributes' names but for the ``valid`` ones."""
        # At least one entry, so that every weight has a gradient even where a whole batch shows nothing.
        size = max(1, *(len(row['tokens']) for row in rows))
        index = torch.arange(size, device=rows[0]['tokens'].device)
        valid = torch.stack([index < len(row['tokens']) for row in rows])

        def pad(values: list[Tensor]) -> Tensor:
            padded = pad_sequence(values, batch_first=True)
            missing = padded.new_zeros(len(padded), size - padded.shape[1], *padded.shape[2:])
            return torch.cat([padded, missing], dim=1)

        def pad_points(values: list[Tensor]) -> tuple[Tensor, Tensor]:
            most = max(points.shape[1] for points in values)
            padded = pad([F.pad(p, (0, 0, 0, most - p.shape[1]), value=torch.nan) for p in values])
            return padded.nan_to_num(), valid[:, :, None] & ~padded.isnan().any(dim=-1)

        columns = {name: [row[name] for row in rows] for name in rows[0]}
        points_norm, point_valid = pad_points(columns.pop('points_norm'))
        polygons_norm, polygon_valid = pad_points(columns.pop('polygons_norm'))
        return cls(
            valid=valid,
            points_norm=points_norm,
            point_valid=point_valid,
            polygons_norm=polygons_norm,
            polygon_valid=polygon_valid,
            **{name: pad(values) for name, values in columns.items()},
        )

    def slots(self, targets: list[SetTargets]) -> list[Tensor]:
        """Per image the token of each object, int64; -1 where it has none."""
        slots = [self.tokens.new_full((len(target),), -1) for target in targets]
        for slot, tokens, objects, valid in zip(slots, self.tokens, self.objects, self.valid, strict=True):
            slot[objects[valid]] = tokens[valid]
        return slots


@dataclass
class NoisyBoxes:
    """Q noisy copies of the true boxes of each image, padded.

    Attributes:
        boxes_cxcywh: (B, Q, 4) in (0, 1).
        objects: (B, Q) int64, the object that each was made from: 0 .. G - 1 of the targets, then the distractors.
        valid: (B, Q) bool, False = padding.
    """

    boxes_cxcywh: Tensor
    objects: Tensor
    valid: Tensor


@dataclass
class TrainStep:
    """One batch of B images on its way to its losses; the fields are filled in from top to bottom.

    Attributes:
        samples: B data samples.
        instructions: their instructions, parsed once.
        targets: what the tokens should describe; None: not known, as where the batch asks for text about images whose
            objects are not annotated.
        noisy_boxes: extra boxes that the tokenizer starts from; None: none.
        tokens: the image tokens.
        content: (layers, B, M, width), projected contents of the tokens.
        inputs: (B, M, width), what the LLM reads of the tokens.
        names: what the tokens are aligned with.
        matches: tokens matched to ``targets``; None where these are.
    """

    samples: SampleList
    instructions: list[Instruction]
    targets: list[SetTargets] | None = None
    noisy_boxes: NoisyBoxes | None = None
    tokens: ImageTokens | None = None
    content: Tensor | None = None
    inputs: Tensor | None = None
    names: NameSets | None = None
    matches: Matches | None = None

    @property
    def asks_for_text(self) -> bool:
        """Whether the batch asks for text; else for objects."""
        return self.instructions[0].asks_for_text
