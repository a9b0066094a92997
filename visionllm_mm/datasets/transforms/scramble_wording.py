"""Scrambled copies of the instructions, from which the LLM learns to read output formats."""

import re

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS

from ...instructions import TASK_TEMPLATES, scramble_wording

_WORDS = sorted({word for templates in TASK_TEMPLATES.values() for template in templates
                 for word in re.findall(r"[A-Za-z']+", re.sub(r'<\w+>', ' ', template))})


@TRANSFORMS.register_module()
class ScrambleWording(BaseTransform):
    """Adds ``scrambled_instruction``: the instruction with other words around the same class set and format.

    ``VisionLLM`` takes it for its format loss alone, see :class:`visionllm_mm.models.FormatLoss`; all else is asked
    with the instruction as it is.

    Args:
        prob: share of the samples whose copy is scrambled, in [0, 1].
    """

    def __init__(self, prob: float = 0.5) -> None:
        self.prob = prob

    def transform(self, results: dict) -> dict:
        if np.random.random_sample() < self.prob:
            results['scrambled_instruction'] = scramble_wording(results['instruction'], _WORDS, np.random)
        return results
