"""Backbones that mmdet lacks."""

from .efficientnet_lite import EfficientNetLite
from .internimage import InternImage

__all__ = ['EfficientNetLite', 'InternImage']
