"""Scrambled copies of instructions, which train the LLM to read output formats."""

import re

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS

from ...instructions import TASK_TEMPLATES, resample_format, scramble_instruction

_DISTRACTOR_WORDS = sorted(
    {
        word
        for templates in TASK_TEMPLATES.values()
        for template in templates
        for word in re.findall(r"[A-Za-z']+", re.sub(r'<\w+>', ' ', template))
    }
)


RESAMPLE_PROB = 0.5
"""Share of the copies with another number of points."""


@TRANSFORMS.register_module()
class ScrambleInstruction(BaseTransform):
    """Adds ``scrambled_instruction``: the instruction with distractor words around its class set and format.

    Copies that ask for objects may state another number of points, so that the LLM learns all numbers. The number is
    sampled on a logarithmic scale, because instructions for polygons state many points anyway.

    Only the format loss of ``VisionLLM`` uses the copy, see :class:`visionllm_mm.models.FormatLoss`; all other losses
    use the instruction itself.

    Args:
        max_points: the largest number of points of a format, at most the vocabulary's.
        prob: share of the samples that get a scrambled copy, in [0, 1].
    """

    def __init__(self, max_points: int, prob: float = 0.5) -> None:
        self.max_points = max_points
        self.prob = prob

    def transform(self, results: dict) -> dict:
        if np.random.random_sample() < self.prob:
            text = results['instruction']
            if np.random.random_sample() < RESAMPLE_PROB:
                num_points = int((self.max_points + 1) ** np.random.random_sample())
                text = resample_format(text, num_points, _DISTRACTOR_WORDS, np.random)
            results['scrambled_instruction'] = scramble_instruction(text, _DISTRACTOR_WORDS, np.random)
        return results
