"""The model's blocks, one file each; importing registers them with mmdet."""

from .backbones.internimage import InternImage
from .image_tokenizer import LanguageGuidedImageTokenizer
from .llm import CausalLM
from .losses import AlignmentLoss, ClassTokenLoss, FormatLoss, LocationTokenLoss, WordLoss
from .match_costs import CenterL1Cost, ClassProbabilityCost, ObjectnessFocalCost
from .task_decoder import OpenEndedTaskDecoder
from .text_encoder import TextEncoder
from .visionllm import VisionLLM

__all__ = [
    'AlignmentLoss',
    'CausalLM',
    'CenterL1Cost',
    'ClassProbabilityCost',
    'ClassTokenLoss',
    'FormatLoss',
    'InternImage',
    'LanguageGuidedImageTokenizer',
    'LocationTokenLoss',
    'ObjectnessFocalCost',
    'OpenEndedTaskDecoder',
    'TextEncoder',
    'VisionLLM',
    'WordLoss',
]
