"""Additions to the losses: one file each, one line of ``model.auxiliary`` each."""

from .base import AuxiliaryLoss
from .denoising import Denoising
from .formats import FormatLoss
from .proposals import ProposalLoss
from .query_polygons import QueryPolygonLoss

__all__ = ['AuxiliaryLoss', 'Denoising', 'FormatLoss', 'ProposalLoss', 'QueryPolygonLoss']
