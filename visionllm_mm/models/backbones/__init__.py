"""Backbones that mmdet lacks."""

from .internimage import InternImage

__all__ = ['InternImage']
