"""Losses of the encoder's proposals, as in two-stage Deformable DETR: many positions learn from one object."""

from typing import TYPE_CHECKING

import torch
from mmdet.registry import MODELS, TASK_UTILS
from mmengine.structures import InstanceData
from torch import Tensor

from ...structures import ImageTokens, Matches, Proposals, SetTargets, TrainStep
from ..criterion import match_row, take_tokens
from .base import AuxiliaryLoss

if TYPE_CHECKING:
    from ..visionllm import VisionLLM


@MODELS.register_module()
class ProposalLoss(AuxiliaryLoss):
    """L_tok and the alignment of encoder positions with the objects that they see, prefixed ``enc.``.

    So the features learn what the instruction asks for long before the few one-to-one matched tokens teach it.

    Args:
        assigner: config of mmdet's PointAssigner, which says which positions of the encoder see an object.
    """

    def __init__(self, assigner: dict) -> None:
        super().__init__()
        self.assigner = TASK_UTILS.build(assigner)

    def check(self, model: 'VisionLLM') -> None:
        if not model.image_tokenizer.as_two_stage:
            raise ValueError('ProposalLoss needs image_tokenizer.as_two_stage=True: without it there are no proposals')

    def forward(self, model: 'VisionLLM', step: TrainStep) -> dict[str, Tensor]:
        if step.matches is None:
            return {}
        proposals = step.tokens.proposals
        matches = self.match(proposals, step.targets)
        tokens = ImageTokens(
            embeddings=proposals.embeddings[None],
            centers_norm=proposals.centers_norm[None],
            objectness=proposals.objectness[None],
            sizes_norm=proposals.sizes_norm[None],
        )
        # (B, E, D), (B, k) -> (1, B, k, width); all E positions would be projected for nothing.
        matched = take_tokens(proposals.embeddings[None], matches.tokens)
        content = model.task_decoder.projector.project_content(matched)
        losses = model.criterion.token_losses(tokens, matches)
        losses |= model.criterion.alignment_losses(content, step.names, matches)
        return {f'enc.{name}': loss for name, loss in losses.items()}

    @torch.no_grad()
    def match(self, proposals: Proposals, targets: list[SetTargets]) -> Matches:
        """Assigns positions of the encoder to the objects that they see, several to each; tokens = positions."""
        rows = []
        for priors, target in zip(proposals.priors, targets, strict=True):
            # In the padding nothing is seen.
            inside = (priors[:, :2] < target.image_size.to(priors.device)).all(dim=1)
            # mmdet's assigner mixes devices; it is quick on the CPU.
            found = self.assigner.assign(
                InstanceData(priors=priors[inside].cpu()),
                InstanceData(bboxes=target.boxes_xyxy.cpu(), labels=target.class_index.cpu()),
            ).gt_inds
            assigned = found.new_zeros(len(priors), device=priors.device)
            assigned[inside] = found.to(priors.device)
            rows.append(match_row(assigned, target))
        return Matches.collate(rows)
