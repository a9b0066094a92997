"""Moving average of what trains, for models most of whose weights are frozen."""

import copy

from mmdet.registry import MODELS
from mmengine.model import ExponentialMovingAverage
from torch import nn


@MODELS.register_module()
class TrainedPartsEMA(ExponentialMovingAverage):
    """mmengine's ExponentialMovingAverage with one copy of the frozen weights: those of the model itself.

    For the config: ``custom_hooks=[dict(type='EMAHook', ema_type='TrainedPartsEMA', momentum=0.0002)]``. Weights that
    are frozen when the run starts must stay so. Checkpoints hold of it what they hold of the model.

    Args:
        model: the model that trains.
        momentum: share of the new weights in each update, in (0, 1).
        interval: iterations between updates.
    """

    def __init__(self, model: nn.Module, momentum: float = 0.0002, interval: int = 1) -> None:
        super().__init__(_CopiesWhatTrains(model), momentum=momentum, interval=interval)
        frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
        self.avg_parameters = {name: value for name, value in self.avg_parameters.items() if name not in frozen}


class _CopiesWhatTrains:
    """Stands for a model where mmengine copies it."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def __deepcopy__(self, memo: dict) -> nn.Module:
        memo |= {id(p): p for p in self.model.parameters() if not p.requires_grad}
        return copy.deepcopy(self.model, memo)
