"""Aids for LLMs that are small or start from random weights; without this folder the paper's configs still build."""

from .exchange_names import ExchangeNames
from .hooks import DescriptionWarmupHook, FormatWarmupHook, TextWarmupHook
from .phrase_loss import AskedObjectsLoss
from .random_questions import DrawQuestions, DrawRelation

__all__ = [
    'AskedObjectsLoss',
    'DescriptionWarmupHook',
    'DrawQuestions',
    'DrawRelation',
    'ExchangeNames',
    'FormatWarmupHook',
    'TextWarmupHook',
]
