"""Loss of the polygons that point queries predict by themselves, before the LLM reads them."""

from typing import TYPE_CHECKING

import torch
from mmdet.registry import MODELS
from torch import Tensor

from ...structures import TrainStep
from ..criterion import offsets_from_tokens, point_loss
from .base import AuxiliaryLoss

if TYPE_CHECKING:
    from ..visionllm import VisionLLM


@MODELS.register_module()
class QueryPolygonLoss(AuxiliaryLoss):
    """Loss of the location tokens that point queries predict through the LLM's last norm alone, ``loss_outline``.

    The LLM's layers only add to a query, so it predicts something by itself, as inner decoder layers of a DETR do. It
    takes no pass of the LLM, so all objects whose masks are annotated are learned from, whatever is asked for; see
    :class:`AddPolygons`. Needs hints that tell point queries where they are, such as :class:`PointPlaces`.

    Args:
        loss: config of :class:`LocationTokenLoss`.
    """

    for_extra_tokens = True

    def __init__(self, loss: dict) -> None:
        super().__init__()
        self.loss = MODELS.build(loss)

    def check(self, model: 'VisionLLM') -> None:
        if getattr(model.task_decoder.hints, 'point_places', None) is None:
            raise ValueError(
                "QueryPolygonLoss needs hints=dict(type='SmallLLMHints', point_places=True): it teaches what point "
                'queries predict by themselves'
            )

    def forward(self, model: 'VisionLLM', step: TrainStep) -> dict[str, Tensor]:
        if step.matches is None or step.matches.polygons_norm.shape[2] == 0:
            return {}
        matches, decoder, length = step.matches, model.task_decoder, step.matches.polygons_norm.shape[2]
        # Without the padding it is half the work: (B, M, width) -> (n, width), n valid matches.
        images, columns = matches.valid.nonzero(as_tuple=True)
        inputs = step.inputs[images, matches.tokens[images, columns]]
        counts = torch.tensor([target.polygons_norm.shape[1] for target in step.targets], device=inputs.device)
        queries = decoder.point_queries(inputs[:, None], counts[images], length)  # (n, 2 P, width)
        logits = decoder.location_logits(decoder.llm.normalize(queries))  # (n, 2 P, 2R + 1)
        logits = logits.unflatten(1, (length, 2))  # (n, P, 2, 2R + 1)
        offsets = offsets_from_tokens(step.tokens, matches, matches.polygons_norm)[matches.valid]  # (n, P, 2)
        return dict(loss_outline=point_loss(self.loss, logits, offsets, matches.polygon_valid[matches.valid]))
