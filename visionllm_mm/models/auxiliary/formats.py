"""Loss of reading the output format off an instruction (paper, section 3.4: the LLM parses the format first)."""

from typing import TYPE_CHECKING

import torch
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from torch import Tensor
from torch.nn import functional as F

from ...instructions import Instruction, parse_instruction
from ...structures import TrainStep
from ..format_reader import format_logits
from ..task_decoder import OpenEndedTaskDecoder
from .base import AuxiliaryLoss

if TYPE_CHECKING:
    from ..visionllm import VisionLLM


@MODELS.register_module()
class FormatLoss(AuxiliaryLoss):
    """Negative log-likelihood of the output formats that instructions ask for, ``loss_format``; needs no image.

    Where a sample has a ``scrambled_instruction``, that is read instead, see :class:`ScrambleInstruction`.

    Args:
        loss_weight: weight of the loss.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, model: 'VisionLLM', step: TrainStep) -> dict[str, Tensor]:
        return dict(loss_format=self.loss(model.task_decoder, step.instructions, step.samples))

    def loss(self, decoder: OpenEndedTaskDecoder, instructions: list[Instruction], samples: SampleList) -> Tensor:
        """Mean over B instructions and their samples."""
        texts = []
        for instruction, sample in zip(instructions, samples, strict=True):
            if 'scrambled_instruction' in sample:
                # Among scrambled words the rules find a class set and a format, but not whether text is asked for.
                known = instruction.output_format if instruction.asks_for_text else None
                instruction = parse_instruction(sample.scrambled_instruction, decoder.vocabulary, known, scrambled=True)
            texts.append(instruction)
        counts = [instruction.num_points for instruction in texts]
        logits = format_logits(decoder, texts, max(1, *counts))
        return self.loss_weight * format_nll(logits, torch.tensor(counts, device=logits.device))


def format_nll(logits: Tensor, num_points: Tensor) -> Tensor:
    """Negative log-likelihood of formats, mean over B instructions.

    Args:
        logits: (B, 1 + N, 2), decisions to end or to go on, see :func:`format_logits`.
        num_points: (B,) int64, points of each format, at most N; 0: an answer in text.
    """
    steps = torch.arange(logits.shape[1], device=logits.device)
    goes_on = (steps < num_points[:, None]).long()  # (B, 1 + N)
    losses = F.cross_entropy(logits.mT, goes_on, reduction='none')
    return (losses * (steps <= num_points[:, None])).sum(dim=1).mean()
