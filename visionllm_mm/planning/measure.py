"""Runs training steps for real, in processes of their own, and measures the memory and time of a step.

    python -m visionllm_mm.planning.measure memory '{"config": "...", "options": {}, "workload": {"batch": 8, ...}}'

prints a JSON object. The step is the model's own, with its real losses and matching, random weights, images and boxes.
"""

import gc
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import OPTIMIZERS

from ..config_files import read_config
from .meter import Meter
from .plan import optimizer_settings
from .workload import Workload, autocast, build_model, samples

# Settings of glibc. Freed tensors go back to the system at once, so that the resident size is that of what lives; or
# they are kept, as tools/train.py does.
_GIVE_BACK = {'MALLOC_MMAP_THRESHOLD_': '65536', 'MALLOC_TRIM_THRESHOLD_': '65536'}
_KEEP = {'MALLOC_MMAP_MAX_': '0', 'MALLOC_TRIM_THRESHOLD_': str(2**31 - 1), 'MALLOC_TOP_PAD_': str(512 * 2**20)}
BESIDE_TENSORS = 46 * 2**20
"""What the resident size of a training process rises by beside its tensors, bytes: libraries, Python's objects, work
spaces. Found with visionllm-tiny_miniscenes-det; docs/planning.md has others."""


def measure(config: str, options: dict, work: Workload) -> dict[str, float]:
    """``tracked`` and ``resident``, see :func:`memory_of_step`, and ``seconds``, see :func:`time_of_step`.

    Args:
        config: path of a config.
        options: settings of it to change.
        work: input of a step.

    Raises:
        RuntimeError: when one of the processes fails; its last output is in the message.
    """
    request = json.dumps(dict(config=config, options=options, workload=vars(work)))
    found = {}
    for what, settings in (('memory', _GIVE_BACK), ('time', _KEEP)):
        done = subprocess.run(
            [sys.executable, '-m', 'visionllm_mm.planning.measure', what, request],
            capture_output=True,
            text=True,
            env=os.environ | settings,
        )
        if done.returncode:
            raise RuntimeError(f'measuring {config} failed:\n{done.stderr[-2000:]}')
        found |= json.loads(done.stdout.splitlines()[-1])
    return found


def memory_of_step(cfg: Config, work: Workload) -> dict[str, int]:
    """Bytes at the peak of the second step, the optimizer's states included.

    ``tracked`` are those of live tensors; ``resident`` is by how much the process's largest resident size exceeds that
    before the model was built.
    """
    _one_pass_of_attention()
    before = resident_bytes('VmRSS')
    with Meter() as meter:
        step, optimizer, images = _training(cfg, work)
    step()
    gc.collect()
    forget_peak()
    step()
    resident = resident_bytes('VmHWM') - before
    with meter:
        meter.track([images, list(optimizer.state.values())])
        meter.reset_peak()
        step()
    return dict(tracked=meter.peak, resident=resident)


def time_of_step(cfg: Config, work: Workload, repeat: int = 8) -> dict[str, float]:
    """``seconds`` of a step behind the first, the median of ``repeat``."""
    step, _, _ = _training(cfg, work)
    step()
    seconds = []
    for _ in range(repeat):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return dict(seconds=statistics.median(seconds))


def _training(cfg: Config, work: Workload) -> tuple[Callable[[], None], torch.optim.Optimizer, torch.Tensor]:
    """A model's training step, its optimizer and its images."""
    model = build_model(cfg).train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = OPTIMIZERS.build(dict(optimizer_settings(cfg), params=trained))
    images = torch.rand(work.batch, 3, *work.image_size)

    def step() -> None:
        with autocast(cfg)():
            losses = model.loss(images, samples(work, model))
            total, _ = model.parse_losses(losses)
        total.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step, optimizer, images


def _one_pass_of_attention() -> None:
    """Loads what PyTorch loads when it first computes; it is no part of a model's memory."""
    x = torch.rand(1, 4, 64, 64, requires_grad=True)
    layer = torch.nn.Conv2d(4, 4, 3)
    torch.nn.functional.scaled_dot_product_attention(x, x, x).matmul(x).sum().backward()
    layer(x).sum().backward()


def forget_peak() -> None:
    """Lets the largest resident size of this process count from here (Linux)."""
    Path('/proc/self/clear_refs').write_text('5')


def resident_bytes(name: str) -> int:
    """This process's resident size, bytes: now, ``VmRSS``, or at most so far, ``VmHWM`` (Linux)."""
    return 1024 * int(re.search(rf'{name}:\s+(\d+) kB', Path('/proc/self/status').read_text())[1])


def main() -> None:
    what, request = sys.argv[1], json.loads(sys.argv[2])
    cfg = read_config(request['config'], request['options'])
    work = request['workload']
    work = Workload(**work | dict(image_size=tuple(work['image_size'])))
    print(json.dumps(dict(memory=memory_of_step, time=time_of_step)[what](cfg, work)))


if __name__ == '__main__':
    main()
