"""The seam for additions to the losses."""

from typing import TYPE_CHECKING

from torch import Tensor, nn

from ...structures import TrainStep

if TYPE_CHECKING:
    from ..visionllm import VisionLLM


class AuxiliaryLoss(nn.Module):
    """Base of all additions. A config lists them by names of its own: ``auxiliary=dict(denoising=dict(type=...))``;
    a config that inherits from it switches one off with ``auxiliary=dict(denoising=None)``."""

    for_extra_tokens = False
    """Whether the tokens of extra boxes are learned from as well, see :class:`Denoising`."""

    def check(self, model: 'VisionLLM') -> None:
        """Raises a ValueError where a model lacks what the addition needs."""

    def prepare(self, step: TrainStep) -> None:
        """Called before the image tokenizer runs; may set ``step.noisy_boxes``."""

    def forward(self, model: 'VisionLLM', step: TrainStep) -> dict[str, Tensor]:
        """Losses by name, of a step whose fields are all filled in; empty where nothing can be learned from it."""
        raise NotImplementedError
