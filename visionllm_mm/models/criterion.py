"""Matching and losses for set predictions (paper, section 3.5: L = L_tok + L_dec)."""

import torch
from mmdet.models.task_modules.assigners import BaseAssigner
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy
from mmdet.utils import reduce_mean
from mmengine.structures import InstanceData
from torch import Tensor, nn

from ..structures import ImageTokens, Matches, NameSets, SetTargets, TrainStep


class SetCriterion(nn.Module):
    """One Hungarian assignment, shared by all losses and decoder layers.

    Args:
        assigner: mmdet's HungarianAssigner with the costs of ``match_costs.py``.
        loss_objectness: focal loss of the objectness, class-agnostic (L_tok).
        loss_center: L1 loss of the centers (L_tok).
        loss_class: cross-entropy of the class tokens (L_dec).
        loss_location: cross-entropy of the location tokens (L_dec).
        loss_alignment: alignment loss; None: off (where the tokenizer starts from a pretrained detector).
        loss_size: L1 loss of the sizes, where the tokenizer predicts them.
        loss_iou: IoU loss of the boxes, where the tokenizer predicts sizes.
    """

    def __init__(
        self,
        assigner: BaseAssigner,
        loss_objectness: nn.Module,
        loss_center: nn.Module,
        loss_class: nn.Module,
        loss_location: nn.Module,
        loss_alignment: nn.Module | None = None,
        loss_size: nn.Module | None = None,
        loss_iou: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.assigner = assigner
        self.loss_objectness = loss_objectness
        self.loss_center = loss_center
        self.loss_class = loss_class
        self.loss_location = loss_location
        self.loss_alignment = loss_alignment
        self.loss_size = loss_size
        self.loss_iou = loss_iou

    @torch.no_grad()
    def match(self, tokens: ImageTokens, targets: list[SetTargets], class_logits: Tensor | None = None) -> Matches:
        """Assigns the objects of each image to tokens.

        Args:
            tokens: image tokens of B images.
            targets: B targets; an image may have none, and no more than M are used.
            class_logits: (B, M, K + 1); None: the batch asks for no classes, so that these cost the same everywhere.
        """
        if class_logits is None:
            num_classes = 1 + max((int(target.target_class.max()) for target in targets if len(target)), default=0)
            class_logits = tokens.objectness.new_zeros(*tokens.objectness.shape[1:], num_classes + 1)
        rows, no_object = [], class_logits.shape[2] - 1
        for i, target in enumerate(targets):
            predicted = InstanceData(
                objectness=tokens.objectness[-1, i],
                centers_norm=tokens.centers_norm[-1, i],
                class_logits=class_logits[i],
            )
            labels = _answers(target.target_class, no_object)
            true = InstanceData(labels=labels, centers_norm=target.centers_norm)
            rows.append(match_row(self.assigner.assign(predicted, true).gt_inds, target))
        return Matches.collate(rows)

    def forward(self, step: TrainStep, class_logits: Tensor, point_logits: Tensor) -> dict[str, Tensor]:
        """L_tok + L_dec by name; losses of inner decoder layers are prefixed ``d0.``, ``d1.`` ... as in mmdet.

        Args:
            step: a step with matches.
            class_logits: (B, M, K + 1).
            point_logits: (B, k, N, 2, 2R + 1), of the matched tokens.
        """
        losses, tokens, matches = self.object_losses(step), step.tokens, step.matches
        no_object = class_logits.shape[2] - 1
        labels = _scatter(matches, _answers(matches.target_class, no_object), class_logits.shape[1], no_object)
        total, weight = self.loss_class(class_logits, labels, _on_distractors(tokens, step.targets))
        losses['loss_class'] = total / reduce_mean(weight).clamp(min=1e-6)
        offsets = offsets_from_tokens(tokens, matches, matches.points_norm)
        losses['loss_location'] = point_loss(self.loss_location, point_logits, offsets, matches.point_valid)
        return losses

    def object_losses(self, step: TrainStep) -> dict[str, Tensor]:
        """Losses by name of what the tokens should describe, whatever is asked: L_tok and the alignment with names."""
        losses = self.token_losses(step.tokens, step.matches)
        content = take_tokens(step.content, step.matches.tokens)
        return losses | self.alignment_losses(content, step.names, step.matches)

    def token_losses(self, tokens: ImageTokens, matches: Matches) -> dict[str, Tensor]:
        """L_tok by name: objectness of all tokens, boxes of those that are matched."""
        losses, count = {}, _count(matches)
        # mmdet's class-agnostic labels: 0 = object, 1 = background.
        labels = _scatter(matches, torch.zeros_like(matches.tokens), tokens.objectness.shape[2], 1).flatten()
        for name, objectness in _by_layer(tokens.objectness):
            losses[f'{name}loss_objectness'] = self.loss_objectness(objectness.reshape(-1, 1), labels, avg_factor=count)
        return losses | self.box_losses(tokens, matches)

    def box_losses(self, tokens: ImageTokens, matches: Matches) -> dict[str, Tensor]:
        """Losses by name of the matched tokens' centers, and of sizes and boxes where there are sizes."""
        losses, count = {}, _count(matches)
        weight = matches.valid[..., None].float().expand(-1, -1, 2)  # (B, k, 2)
        true_boxes = torch.cat([matches.centers_norm, matches.sizes_norm], dim=2)
        true_boxes = bbox_cxcywh_to_xyxy(true_boxes).flatten(0, 1)  # (B, k, 4) -> (B * k, 4)
        for name, boxes in _by_layer(take_tokens(tokens.boxes_cxcywh, matches.tokens)):
            losses[f'{name}loss_center'] = self.loss_center(
                boxes[..., :2], matches.centers_norm, weight, avg_factor=count
            )
            if tokens.sizes_norm is None:
                continue
            losses[f'{name}loss_size'] = self.loss_size(boxes[..., 2:], matches.sizes_norm, weight, avg_factor=count)
            losses[f'{name}loss_iou'] = self.loss_iou(
                bbox_cxcywh_to_xyxy(boxes).flatten(0, 1), true_boxes, weight[..., 0].flatten(), avg_factor=count
            )
        return losses

    def alignment_losses(self, content: Tensor, names: NameSets, matches: Matches) -> dict[str, Tensor]:
        """Losses by name that bind matched tokens, contents (layers, B, k, width), to their names; {} where off."""
        if self.loss_alignment is None:
            return {}
        name_sets, count = (names.name_embeddings, names.class_valid), _count(matches)
        return {
            f'{name}loss_alignment': self.loss_alignment(layer, *name_sets, matches.class_index, matches.valid) / count
            for name, layer in _by_layer(content)
        }


def match_row(assigned: Tensor, target: SetTargets) -> dict[str, Tensor]:
    """Matches of an image for :meth:`Matches.collate`; ``assigned`` (M,) int64 is object + 1 of each token, 0: none."""
    kept = (assigned > 0).nonzero().squeeze(1)
    objects = assigned[kept] - 1
    return dict(
        tokens=kept,
        objects=objects,
        class_index=target.class_index[objects],
        target_class=target.target_class[objects],
        points_norm=target.points_norm[objects],
        centers_norm=target.centers_norm[objects],
        sizes_norm=target.sizes_norm[objects],
        polygons_norm=target.polygons_norm[objects],
    )


def take_tokens(values: Tensor, index: Tensor) -> Tensor:
    """Values (layers, B, M, C) of some tokens (B, k) -> (layers, B, k, C)."""
    # index: (B, k) -> (layers, B, k, C)
    return values.gather(2, index[None, :, :, None].expand(len(values), -1, -1, values.shape[3]))


def offsets_from_tokens(tokens: ImageTokens, matches: Matches, points_norm: Tensor) -> Tensor:
    """Offsets (B, k, N, 2) of points (B, k, N, 2) from the centers of the tokens that they are matched to."""
    centers = take_tokens(tokens.centers_norm[-1:].detach(), matches.tokens)[0]  # (B, k, 2)
    return points_norm - centers[:, :, None]


def point_loss(loss: nn.Module, point_logits: Tensor, offsets: Tensor, point_valid: Tensor) -> Tensor:
    """Mean of a loss over the coordinates of all processes.

    Args:
        loss: :class:`LocationTokenLoss`.
        point_logits: (..., N, 2, 2R + 1).
        offsets: (..., N, 2), offsets in [-1, 1].
        point_valid: (..., N) bool, False = no target here.
    """
    valid = point_valid[..., None].expand_as(offsets)
    return loss(point_logits, offsets, valid) / reduce_mean(valid.sum().float()).clamp(min=1)


def _answers(target_class: Tensor, no_object: int) -> Tensor:
    """What tokens on objects should answer: the class, or no-object where they are not asked for."""
    return torch.where(target_class < 0, no_object, target_class)


def _count(matches: Matches) -> Tensor:
    """Matches per process, at least 1."""
    return reduce_mean(matches.valid.sum().float()).clamp(min=1)


def _on_distractors(tokens: ImageTokens, targets: list[SetTargets]) -> Tensor:
    """(B, M) bool, whether a token's center is inside an object that the instruction does not ask for."""
    rows = []
    for centers, target in zip(tokens.centers_norm[-1].detach(), targets, strict=True):
        low, high = target.distractor_boxes.unbind(dim=1)  # (U, 2) each
        inside = (centers[:, None] >= low) & (centers[:, None] <= high)  # (M, U, 2)
        rows.append(inside.all(dim=2).any(dim=1))
    return torch.stack(rows)


def _by_layer(values: Tensor) -> list[tuple[str, Tensor]]:
    """Prefix of the loss names and values of each decoder layer."""
    last = len(values) - 1
    return [('' if i == last else f'd{i}.', value) for i, value in enumerate(values)]


def _scatter(matches: Matches, values: Tensor, num_tokens: int, default: int) -> Tensor:
    """(B, k) values of matched tokens -> (B, M), ``default`` elsewhere."""
    result = values.new_full((len(values), num_tokens), default)
    rows, columns = matches.valid.nonzero(as_tuple=True)
    result[rows, matches.tokens[rows, columns]] = values[rows, columns]
    return result
