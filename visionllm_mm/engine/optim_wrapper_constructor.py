"""Optimizer groups of what trains, for models most of whose weights are frozen."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from mmdet.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.logging import MMLogger, print_log
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class TrainedPartsOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """mmengine's constructor for a large frozen model with a few trained parts.

    The options of ``paramwise_cfg`` are mmengine's: ``custom_keys`` (e.g. ``{'backbone': dict(lr_mult=0.1)}``),
    ``norm_decay_mult``, ``bias_decay_mult`` and so on. Other than mmengine's, it leaves frozen parameters out without
    a line for each of them, makes one group of all parameters with equal settings, logs a line per group,
    and takes a parameter that modules share once (``bypass_duplicate``).

    Args:
        optim_wrapper_cfg: mmengine's, with the ``optimizer``.
        paramwise_cfg: the options above; None: none of them.

    Raises:
        ValueError: when a key of ``custom_keys`` is in no parameter's name, or when nothing trains.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        super().__init__(optim_wrapper_cfg, dict(bypass_duplicate=True) | (paramwise_cfg or {}))

    def add_params(self, params: list[dict], module: nn.Module, prefix: str = '', **kwargs) -> None:
        """Adds the groups of a module to ``params``; called for the whole model first and by itself for its parts."""
        if prefix:
            super().add_params(params, module, prefix, **kwargs)
            return
        names = {parameter: name for name, parameter in module.named_parameters()}
        self._check_keys([name for name, _ in module.named_parameters(remove_duplicate=False)])
        found: list[dict] = []
        with _without_a_line_per_parameter():
            super().add_params(found, module, **kwargs)
        groups: dict[str, dict] = {}
        for entry in found:
            settings = {key: value for key, value in entry.items() if key != 'params'}
            group = groups.setdefault(repr(sorted(settings.items())), dict(params=[], **settings))
            group['params'] += entry['params']
        if not groups:
            raise ValueError('no parameter of the model requires a gradient: nothing would train')
        self._report(list(groups.values()), names)
        params.extend(groups.values())

    def _check_keys(self, names: list[str]) -> None:
        for key in self.paramwise_cfg.get('custom_keys', {}):
            if not any(key in name for name in names):
                parts = sorted({name.split('.')[0] for name in names})
                raise ValueError(
                    f"paramwise_cfg.custom_keys: {key!r} is in no parameter's name: give a part of a name "
                    f'such as those of the parts {", ".join(parts)}'
                )

    def _report(self, groups: list[dict], names: dict[nn.Parameter, str]) -> None:
        trained = sum(p.numel() for group in groups for p in group['params'])
        print_log(
            f'{trained:,} parameters train, {sum(p.numel() for p in names) - trained:,} are frozen', logger='current'
        )
        for group in groups:
            parameters = group['params']
            parts = sorted({names[p].split('.')[0] for p in parameters})
            print_log(
                f'lr {group.get("lr", self.base_lr)}, weight decay {group.get("weight_decay", self.base_wd)}: '
                f'{sum(p.numel() for p in parameters):,} parameters in {len(parameters)} tensors of '
                f'{", ".join(parts)}',
                logger='current',
            )


@contextmanager
def _without_a_line_per_parameter() -> Iterator[None]:
    logger = MMLogger.get_current_instance()

    def nothing(record: logging.LogRecord) -> bool:
        return False

    logger.addFilter(nothing)
    try:
        yield
    finally:
        logger.removeFilter(nothing)
