"""Matching and losses for set predictions (paper, section 3.5: L = L_tok + L_dec)."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from mmdet.models.task_modules.assigners import BaseAssigner
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy
from mmdet.utils import reduce_mean
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from ..structures import ImageTokens, Proposals, SetTargets
from .auxiliary.denoising import NoisyStarts
from .prefix import NameSets, Prefix


@dataclass
class Matches:
    """Tokens matched to objects, padded to k per image, k >= 1.

    Attributes:
        tokens: (B, k) int64, token of each match; 0 where padded.
        valid: (B, k) bool, False = padding.
        objects: (B, k) int64, which of the image's objects.
        class_index: (B, k) int64, position of the object's name, see :class:`SetTargets`.
        asked_class: (B, k) int64, position of the object's class in the instruction's set, -1: not asked for.
        points_norm: (B, k, N, 2), points of the object in [0, 1] of the unpadded image.
        point_valid: (B, k, N) bool, False where padded, where this image's format has fewer points, and where a point
            is not labelled.
        centers_norm: (B, k, 2), centre of the object.
        sizes_norm: (B, k, 2), width and height of the object.
        outlines_norm: (B, k, P, 2), boundary points of the object, whatever is asked for; P = 0: none are known.
        outline_valid: (B, k, P) bool, as ``point_valid``.
    """

    tokens: Tensor
    valid: Tensor
    objects: Tensor
    class_index: Tensor
    asked_class: Tensor
    points_norm: Tensor
    point_valid: Tensor
    centers_norm: Tensor
    sizes_norm: Tensor
    outlines_norm: Tensor
    outline_valid: Tensor

    def slots(self, targets: list[SetTargets]) -> list[Tensor]:
        """Per image the token of each object, int64; -1 where it has none."""
        slots = [self.tokens.new_full((len(target),), -1) for target in targets]
        for slot, tokens, objects, valid in zip(slots, self.tokens, self.objects, self.valid, strict=True):
            slot[objects[valid]] = tokens[valid]
        return slots


class SetCriterion(nn.Module):
    """One Hungarian assignment, shared by all losses and decoder layers.

    Args:
        assigner: mmdet's HungarianAssigner with the costs of ``assigner.py``.
        loss_objectness: focal loss of the objectness, class-agnostic (L_tok).
        loss_center: L1 loss of the centres (L_tok).
        loss_size, loss_iou: L1 loss of the sizes and IoU loss of the boxes, where the tokenizer refines sizes.
        loss_class: cross-entropy of the class tokens (L_dec).
        loss_location: cross-entropy of the location tokens (L_dec).
        loss_alignment: alignment loss; None: off (where the tokenizer starts from a pretrained detector).
        proposal_assigner: mmdet's PointAssigner, says which positions of the encoder see an object.
        loss_outline: loss of the location tokens that point queries say by themselves of outlines; None: off.
    """

    def __init__(
        self,
        assigner: BaseAssigner,
        loss_objectness: nn.Module,
        loss_center: nn.Module,
        loss_class: nn.Module,
        loss_location: nn.Module,
        loss_alignment: nn.Module | None = None,
        proposal_assigner: BaseAssigner | None = None,
        loss_size: nn.Module | None = None,
        loss_iou: nn.Module | None = None,
        loss_outline: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.assigner = assigner
        self.loss_objectness = loss_objectness
        self.loss_center = loss_center
        self.loss_class = loss_class
        self.loss_location = loss_location
        self.loss_alignment = loss_alignment
        self.proposal_assigner = proposal_assigner
        self.loss_size = loss_size
        self.loss_iou = loss_iou
        self.loss_outline = loss_outline

    @torch.no_grad()
    def match(self, tokens: ImageTokens, class_logits: Tensor, targets: list[SetTargets]) -> Matches:
        """Assigns the objects of each image to tokens.

        Args:
            tokens: image tokens of B images.
            class_logits: (B, M, K + 1).
            targets: B targets; an image may have none, and no more than M are used.
        """
        rows, none = [], class_logits.shape[2] - 1
        for i, target in enumerate(targets):
            assigned = self.assigner.assign(
                InstanceData(
                    objectness=tokens.objectness[-1, i],
                    centers_norm=tokens.centers_norm[-1, i],
                    class_logits=class_logits[i],
                ),
                InstanceData(labels=self._answers(target.asked_class, none), centers_norm=target.centers_norm),
            ).gt_inds
            rows.append(self._row(assigned, target))
        return self._pad(rows)

    def match_known(self, tokens: ImageTokens, targets: list[SetTargets]) -> Matches:
        """As :meth:`match`, where no class answers are asked for: they cost the same everywhere."""
        num_classes = 1 + max((int(target.asked_class.max()) for target in targets if len(target)), default=0)
        batch, num_tokens = tokens.objectness.shape[1:]
        return self.match(tokens, tokens.objectness.new_zeros(batch, num_tokens, num_classes + 1), targets)

    @torch.no_grad()
    def match_proposals(self, proposals: Proposals, targets: list[SetTargets]) -> Matches:
        """Assigns positions of the encoder to the objects that they see, several to each; tokens = positions."""
        rows = []
        for priors, target in zip(proposals.priors, targets, strict=True):
            # In the padding nothing is seen.
            inside = (priors[:, :2] < target.image_size.to(priors.device)).all(dim=1)
            # mmdet's assigner mixes devices; it is quick on the CPU.
            found = self.proposal_assigner.assign(
                InstanceData(priors=priors[inside].cpu()),
                InstanceData(bboxes=target.boxes_xyxy.cpu(), labels=target.class_index.cpu()),
            ).gt_inds
            assigned = found.new_zeros(len(priors), device=priors.device)
            assigned[inside] = found.to(priors.device)
            rows.append(self._row(assigned, target))
        return self._pad(rows)

    @staticmethod
    def _answers(asked_class: Tensor, none: int) -> Tensor:
        """What tokens on objects should answer: the class, or no-object where they are not asked for."""
        return torch.where(asked_class < 0, none, asked_class)

    @staticmethod
    def _row(assigned: Tensor, target: SetTargets) -> tuple[Tensor, ...]:
        kept = (assigned > 0).nonzero().squeeze(1)
        objects = assigned[kept] - 1
        return (
            kept,
            objects,
            target.class_index[objects],
            target.asked_class[objects],
            target.points_norm[objects],
            target.centers_norm[objects],
            target.sizes_norm[objects],
            target.outlines_norm[objects],
        )

    @staticmethod
    def _pad(rows: list[tuple[Tensor, ...]]) -> Matches:
        kept, objects, classes, asked, points, centers, sizes, outlines = zip(*rows, strict=True)
        # At least one entry, so that every weight has a gradient even where a whole batch shows nothing.
        size = max(1, *map(len, kept))
        index = torch.arange(size, device=kept[0].device)
        valid = torch.stack([index < len(row) for row in kept])

        def pad(values: list[Tensor]) -> Tensor:
            padded = pad_sequence(values, batch_first=True)
            missing = padded.new_zeros(len(padded), size - padded.shape[1], *padded.shape[2:])
            return torch.cat([padded, missing], dim=1)

        def pad_points(values: list[Tensor]) -> tuple[Tensor, Tensor]:
            most = max(points.shape[1] for points in values)
            padded = pad([nn.functional.pad(p, (0, 0, 0, most - p.shape[1]), value=torch.nan) for p in values])
            return padded.nan_to_num(), valid[:, :, None] & ~padded.isnan().any(dim=-1)

        return Matches(
            pad(kept),
            valid,
            pad(objects),
            pad(classes),
            pad(asked),
            *pad_points(points),
            pad(centers),
            pad(sizes),
            *pad_points(outlines),
        )

    def forward(
        self,
        tokens: ImageTokens,
        content: Tensor,
        class_logits: Tensor,
        point_logits: Tensor,
        names: NameSets | Prefix,
        matches: Matches,
        targets: list[SetTargets],
    ) -> dict[str, Tensor]:
        """Losses by name; those of inner decoder layers are prefixed ``d0.``, ``d1.`` ... as in mmdet.

        Args:
            tokens: image tokens.
            content: (layers, B, M, width), projected contents.
            class_logits: (B, M, K + 1).
            point_logits: (B, k, N, 2, 2R + 1), of the matched tokens.
            names: what the tokens are aligned with.
            matches: from :meth:`match`.
            targets: B targets.
        """
        losses = self.known_object_losses(tokens, content, names, matches)
        none = class_logits.shape[2] - 1
        class_targets = self._scatter(matches, self._answers(matches.asked_class, none), class_logits.shape[1], none)
        total, weight = self.loss_class(class_logits, class_targets, self._distracted(tokens, targets))
        losses['loss_class'] = total / reduce_mean(weight).clamp(min=1e-6)

        offsets = self._offsets(tokens, matches, matches.points_norm)
        losses['loss_location'] = self._point_loss(self.loss_location, point_logits, offsets, matches.point_valid)
        return losses

    def find_outline_loss(self, point_logits: Tensor, tokens: ImageTokens, matches: Matches) -> Tensor:
        """Loss of outlines that point queries say by themselves.

        Args:
            point_logits: (n, P, 2, 2R + 1), of the tokens of all matches that are valid, image after image.
            tokens: image tokens.
            matches: their objects.
        """
        offsets = self._offsets(tokens, matches, matches.outlines_norm)[matches.valid]
        return self._point_loss(self.loss_outline, point_logits, offsets, matches.outline_valid[matches.valid])

    def _offsets(self, tokens: ImageTokens, matches: Matches, points_norm: Tensor) -> Tensor:
        """(B, k, N, 2), where points are, as seen from the tokens' centres."""
        return points_norm - self._take(tokens.centers_norm[-1].detach(), matches.tokens)[:, :, None]

    @staticmethod
    def _point_loss(loss: nn.Module, point_logits: Tensor, offsets: Tensor, point_valid: Tensor) -> Tensor:
        """Mean over the coordinates of all processes."""
        valid = point_valid[..., None].expand_as(offsets)
        return loss(point_logits, offsets, valid) / reduce_mean(valid.sum().float()).clamp(min=1)

    def known_object_losses(
        self, tokens: ImageTokens, content: Tensor, names: NameSets | Prefix, matches: Matches
    ) -> dict[str, Tensor]:
        """Losses by name of what the tokens should describe, whatever is asked: L_tok and the alignment with names."""
        num_matched = reduce_mean(matches.valid.sum().float()).clamp(min=1)
        losses = self._token_losses(tokens, matches, num_matched)
        content = torch.stack([self._take(layer, matches.tokens) for layer in content])
        return losses | self._alignment_losses(content, names, matches, num_matched)

    @staticmethod
    def _distracted(tokens: ImageTokens, targets: list[SetTargets]) -> Tensor:
        """(B, M) bool, whether a token's centre is inside an object that the instruction does not ask for."""
        rows = []
        for centers, target in zip(tokens.centers_norm[-1].detach(), targets, strict=True):
            low, high = target.unasked_norm.unbind(dim=1)
            inside = (centers[:, None] >= low) & (centers[:, None] <= high)
            rows.append(inside.all(dim=2).any(dim=1))
        return torch.stack(rows)

    def proposal_losses(
        self,
        proposals: Proposals,
        project: Callable[[Tensor], Tensor],
        names: NameSets | Prefix,
        targets: list[SetTargets],
    ) -> dict[str, Tensor]:
        """Losses of the encoder's proposals by name, prefixed ``enc.``.

        Args:
            proposals: of the image tokenizer.
            project: projects embeddings (B, k, D) to contents (B, k, width).
            names: of the sets.
            targets: B targets.
        """
        matches = self.match_proposals(proposals, targets)
        num_matched = reduce_mean(matches.valid.sum().float()).clamp(min=1)
        sizes = None if proposals.sizes_norm is None else proposals.sizes_norm[None]
        tokens = ImageTokens(
            proposals.embeddings[None], proposals.centers_norm[None], proposals.objectness[None], sizes_norm=sizes
        )
        losses = self._token_losses(tokens, matches, num_matched)
        content = project(self._take(proposals.embeddings, matches.tokens))
        losses |= self._alignment_losses(content[None], names, matches, num_matched)
        return {f'enc.{name}': loss for name, loss in losses.items()}

    def match_starts(self, starts: NoisyStarts, targets: list[SetTargets]) -> Matches:
        """The objects that denoising tokens began near; the class of those that have no name is -1."""
        rows = []
        for target, objects, valid in zip(targets, starts.objects, starts.valid, strict=True):
            low, high = target.all_boxes_norm.unbind(dim=1)
            classes = torch.nn.functional.pad(target.class_index, (0, len(low) - len(target)), value=-1)
            kept = valid.nonzero().squeeze(1)
            index = objects[kept]
            rows.append(
                (
                    kept,
                    index,
                    classes[index],
                    classes[index],
                    low.new_zeros(len(kept), 1, 2),
                    (low + high)[index] / 2,
                    (high - low)[index],
                    target.outlines_norm[index],
                )
            )
        return self._pad(rows)

    def denoising_losses(
        self, tokens: ImageTokens, content: Tensor, names: NameSets | Prefix, matches: Matches
    ) -> dict[str, Tensor]:
        """Losses of tokens that began near their objects, by name: place, and name where there is one.

        Args:
            tokens: Q tokens per image.
            content: (layers, B, Q, width), their projected contents.
            names: of the sets.
            matches: from :meth:`match_starts`.
        """
        num_matched = reduce_mean(matches.valid.sum().float()).clamp(min=1)
        losses = self._place_losses(tokens, matches, num_matched)
        asked = replace(
            matches, valid=matches.valid & (matches.class_index >= 0), class_index=matches.class_index.clamp(min=0)
        )
        num_asked = reduce_mean(asked.valid.sum().float()).clamp(min=1)
        content = torch.stack([self._take(layer, matches.tokens) for layer in content])
        return losses | self._alignment_losses(content, names, asked, num_asked)

    def _alignment_losses(
        self, content: Tensor, names: NameSets | Prefix, matches: Matches, num_matched: Tensor
    ) -> dict[str, Tensor]:
        if self.loss_alignment is None:
            return {}
        return {
            f'{name}loss_alignment': self.loss_alignment(
                layer, names.name_embeddings, names.class_valid, matches.class_index, matches.valid
            )
            / num_matched
            for name, layer in self._by_layer(content)
        }

    def _token_losses(self, tokens: ImageTokens, matches: Matches, num_matched: Tensor) -> dict[str, Tensor]:
        losses = {}
        num_tokens = tokens.objectness.shape[2]
        # mmdet's class-agnostic labels: 0 = object, 1 = background.
        labels = self._scatter(matches, torch.zeros_like(matches.tokens), num_tokens, 1).flatten()
        for name, objectness in self._by_layer(tokens.objectness):
            losses[f'{name}loss_objectness'] = self.loss_objectness(
                objectness.reshape(-1, 1), labels, avg_factor=num_matched
            )
        return losses | self._place_losses(tokens, matches, num_matched)

    def _place_losses(self, tokens: ImageTokens, matches: Matches, num_matched: Tensor) -> dict[str, Tensor]:
        losses = {}
        weight = matches.valid[..., None].float().expand(-1, -1, 2)
        for name, centers in self._by_layer(tokens.centers_norm):
            losses[f'{name}loss_center'] = self.loss_center(
                self._take(centers, matches.tokens), matches.centers_norm, weight, avg_factor=num_matched
            )
        if tokens.sizes_norm is not None:
            losses |= self._size_losses(tokens, matches, num_matched)
        return losses

    def _size_losses(self, tokens: ImageTokens, matches: Matches, num_matched: Tensor) -> dict[str, Tensor]:
        losses = {}
        weight = matches.valid[..., None].float().expand(-1, -1, 2)
        true_boxes = bbox_cxcywh_to_xyxy(torch.cat([matches.centers_norm, matches.sizes_norm], dim=2)).flatten(0, 1)
        for name, places in self._by_layer(tokens.places_norm):
            found = self._take(places, matches.tokens)
            losses[f'{name}loss_size'] = self.loss_size(
                found[..., 2:], matches.sizes_norm, weight, avg_factor=num_matched
            )
            losses[f'{name}loss_iou'] = self.loss_iou(
                bbox_cxcywh_to_xyxy(found).flatten(0, 1), true_boxes, weight[..., 0].flatten(), avg_factor=num_matched
            )
        return losses

    @staticmethod
    def _by_layer(values: Tensor) -> list[tuple[str, Tensor]]:
        """Prefix of the loss names and values of each decoder layer."""
        last = len(values) - 1
        return [('' if i == last else f'd{i}.', value) for i, value in enumerate(values)]

    @staticmethod
    def _take(values: Tensor, index: Tensor) -> Tensor:
        """(B, M, C) and (B, k) -> (B, k, C)."""
        return values.gather(1, index[..., None].expand(-1, -1, values.shape[2]))

    @staticmethod
    def _scatter(matches: Matches, values: Tensor, num_tokens: int, default: int) -> Tensor:
        """(B, k) values of matched tokens -> (B, M), ``default`` elsewhere."""
        result = values.new_full((len(values), num_tokens), default)
        rows, columns = matches.valid.nonzero(as_tuple=True)
        result[rows, matches.tokens[rows, columns]] = values[rows, columns]
        return result
