"""Plans a config: parameters, operations, memory and size of checkpoints."""

from collections.abc import Iterator
from contextlib import nullcontext

import torch
from mmengine.config import Config
from torch import nn

from ..models import VisionLLM
from .meter import Meter
from .shapes_only import ShapesOnly, compiled_attention
from .workload import Workload, autocast, build_model, is_left_out_of_checkpoints, run_stages

# Numbers per trained parameter that the optimizer keeps.
OPTIMIZER_STATES = {'AdamW': 2, 'Adam': 2, 'SGD': 1}


def parts(model: VisionLLM) -> Iterator[tuple[str, str, nn.Parameter]]:
    """Every parameter once: part, name, parameter."""
    for name, parameter in model.named_parameters():
        part = name.split('.')[0].replace('_', ' ')
        if name.startswith('task_decoder.llm.'):
            part = 'LLM adapters' if 'lora_' in name else 'LLM base'
        elif part == 'task decoder':
            part = 'added tokens, projector'
        yield part, name, parameter


def count_parameters(model: VisionLLM) -> dict[str, dict[str, int]]:
    """By part: how many parameters are trained and frozen, and their bytes."""
    counts: dict[str, dict[str, int]] = {}
    for part, _, parameter in parts(model):
        row = counts.setdefault(part, dict(trained=0, frozen=0, bytes=0, trained_bytes=0))
        size = parameter.numel() * parameter.element_size()
        row['trained' if parameter.requires_grad else 'frozen'] += parameter.numel()
        row['bytes'] += size
        row['trained_bytes'] += size * parameter.requires_grad
    return counts


def optimizer_settings(cfg: Config) -> dict:
    """The config's optimizer; AdamW where it has none."""
    return (cfg.get('optim_wrapper') or {}).get('optimizer') or dict(type='AdamW', lr=1e-4)


def states_per_parameter(cfg: Config) -> int:
    """Numbers that the config's optimizer keeps per trained parameter.

    Args:
        cfg: of the training.

    Raises:
        ValueError: when the planner does not know the optimizer.
    """
    optimizer = optimizer_settings(cfg)
    if optimizer['type'] not in OPTIMIZER_STATES:
        raise ValueError(
            f'optim_wrapper.optimizer.type={optimizer["type"]!r} is not known to the planner: use one of '
            f'{list(OPTIMIZER_STATES)}'
        )
    return 0 if optimizer['type'] == 'SGD' and not optimizer.get('momentum') else OPTIMIZER_STATES[optimizer['type']]


def checkpoint_bytes(model: VisionLLM, base_is_left_out: bool) -> int:
    """Bytes of the weights in a checkpoint, without the optimizer's states."""
    left_out = {name for part, name, p in parts(model) if part == 'LLM base' and base_is_left_out}
    storages = {
        value.untyped_storage()._cdata: value.untyped_storage().nbytes()  # tied tables are saved once
        for name, value in model.state_dict().items()
        if name not in left_out
    }
    return sum(storages.values())


def training_step(model: VisionLLM, cfg: Config, work: Workload, meter: Meter) -> dict[str, int | str]:
    """Runs a training step without the optimizer's; bytes of weights and gradients, and of the peak."""
    model.train()
    images = torch.rand(work.batch, 3, *work.image_size)
    meter.reset_peak()
    with autocast(cfg)():
        loss = run_stages(model, work, images, meter)
    forward = meter.live
    loss.backward()
    gradients = sum(p.grad.numel() * p.grad.element_size() for p in model.parameters() if p.grad is not None)
    model.zero_grad(set_to_none=True)
    return dict(after_forward=forward, peak=meter.peak, peak_at=' '.join(meter.peak_at), gradients=gradients)


@torch.no_grad()
def inference_step(model: VisionLLM, work: Workload, meter: Meter) -> dict[str, int | str]:
    """Runs a prediction up to the logits, in the weights' own precision; bytes of the peak."""
    model.eval()
    images = torch.rand(work.batch, 3, *work.image_size)
    meter.reset_peak()
    run_stages(model, work, images, meter)
    return dict(peak=meter.peak, peak_at=meter.peak_at[0])


def plan(cfg: Config, work: Workload, num_gpus: int = 1, compiled: bool = True) -> dict:
    """What a config costs.

    Args:
        cfg: config of a VisionLLM.
        work: input of a step on one GPU.
        num_gpus: processes of data-parallel training; with more than one, each keeps the gradients twice (buckets).
        compiled: whether deformable attention takes the memory of mmcv's compiled operator, as on a GPU, or that of
            its PyTorch form, as on a CPU.

    Returns:
        Nested dict of numbers: ``parameters`` by part, ``flops`` per image by phase, ``memory`` in bytes of one GPU,
        ``checkpoint`` in bytes.

    Raises:
        ValueError: when the config has parts that can't be planned, see :func:`planned_model_config`.
    """
    states = states_per_parameter(cfg)
    context = compiled_attention() if compiled else nullcontext()
    with ShapesOnly(), context, Meter() as meter:
        model = build_model(cfg)
        weights = meter.live
        counts = count_parameters(model)
        trained = sum(row['trained_bytes'] for row in counts.values())
        optimizer = states * trained
        train = training_step(model, cfg, work, meter)
        train_flops = dict(meter.flops)
        meter.flops.clear()
        test = inference_step(model, work, meter)
        saved = checkpoint_bytes(model, is_left_out_of_checkpoints(cfg))
        buckets = trained if num_gpus > 1 else 0
    phases = list(dict.fromkeys(name for name, _ in train_flops))
    flops = {
        name: dict(
            forward=train_flops.get((name, 'forward'), 0) / work.batch,
            backward=train_flops.get((name, 'backward'), 0) / work.batch,
            inference=meter.flops.get((name, 'forward'), 0) / work.batch,
        )
        for name in phases
    }
    memory = dict(
        weights=weights,
        gradients=train['gradients'],
        optimizer=optimizer,
        buckets=buckets,
        activations=train['after_forward'] - weights,
        train_peak=train['peak'] + optimizer + buckets,
        train_peak_at=train['peak_at'],
        inference_peak=test['peak'],
        inference_peak_at=test['peak_at'],
    )
    return dict(
        workload=vars(work) | dict(num_gpus=num_gpus, compiled=compiled),
        parameters=counts,
        flops=flops,
        memory=memory,
        checkpoint=dict(weights=saved, optimizer=optimizer),
    )
