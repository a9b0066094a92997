"""The model's blocks, one file each; importing registers them with mmdet."""

from .auxiliary import Denoising, FormatLoss, ProposalLoss, QueryPolygonLoss
from .backbones import InternImage
from .image_tokenizer import LanguageGuidedImageTokenizer
from .llm import CausalLM
from .losses import AlignmentLoss, ClassTokenLoss, LocationTokenLoss, TextLoss
from .match_costs import CenterL1Cost, ClassProbabilityCost, ObjectnessFocalCost
from .query_hints import NoHints
from .task_decoder import OpenEndedTaskDecoder
from .text_encoder import TextEncoder
from .token_projector import TokenProjector
from .visionllm import VisionLLM

__all__ = [
    'AlignmentLoss',
    'CausalLM',
    'CenterL1Cost',
    'ClassProbabilityCost',
    'ClassTokenLoss',
    'Denoising',
    'FormatLoss',
    'InternImage',
    'LanguageGuidedImageTokenizer',
    'LocationTokenLoss',
    'NoHints',
    'ObjectnessFocalCost',
    'OpenEndedTaskDecoder',
    'ProposalLoss',
    'QueryPolygonLoss',
    'TextEncoder',
    'TextLoss',
    'TokenProjector',
    'VisionLLM',
]
