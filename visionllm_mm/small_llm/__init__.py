"""Aids for LLMs that are small or start from random weights; without this folder the paper's configs still build."""

from .exchange_names import ExchangeNames
from .hints import SmallLLMHints
from .hooks import FormatWarmupHook, SimulatedTokensWarmupHook, TextWarmupHook
from .phrase_loss import PhraseLoss
from .random_questions import RandomQuestions, RandomRelation

__all__ = [
    'ExchangeNames',
    'FormatWarmupHook',
    'PhraseLoss',
    'RandomQuestions',
    'RandomRelation',
    'SimulatedTokensWarmupHook',
    'SmallLLMHints',
    'TextWarmupHook',
]
