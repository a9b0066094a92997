"""Runs a training step for real, in a process of its own, and says what memory and time it took.

    python -m visionllm_mm.planning.measure '{"config": "...", "options": {}, "workload": {"batch": 8, ...}}'

prints a JSON object: ``tracked``, bytes of live tensors at the peak, the optimizer's states included; ``resident``, by
how much the process's largest resident size during a step exceeds that before the model was built, bytes; ``seconds``
per step. The step is the model's own, with its real losses and matching, random weights, images and boxes.
"""

import gc
import json
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import OPTIMIZERS

from .meter import Meter
from .plan import optimizer_settings
from .workload import Workload, autocast, build_model, samples


def measure(config: str, options: dict, work: Workload, repeat: int = 3) -> dict[str, float]:
    """Measures in new processes, memory in one and time in another; arguments as those of :func:`run`.

    Raises:
        RuntimeError: when one of them fails; its last output is in the message.
    """
    request = json.dumps(dict(config=config, options=options, workload=vars(work), repeat=repeat))
    # Freed tensors go back to the system at once, so that the resident size is that of what lives; or they are kept,
    # as in a training.
    tidy = {'MALLOC_MMAP_THRESHOLD_': '65536', 'MALLOC_TRIM_THRESHOLD_': '65536'}
    fast = {'MALLOC_MMAP_MAX_': '0', 'MALLOC_TRIM_THRESHOLD_': str(2**31 - 1), 'MALLOC_TOP_PAD_': str(512 * 2**20)}
    found = []
    for settings in (tidy, fast):
        done = subprocess.run([sys.executable, '-m', 'visionllm_mm.planning.measure', request], capture_output=True,
                              text=True, env=os.environ | settings)
        if done.returncode:
            raise RuntimeError(f'measuring {config} failed:\n{done.stderr[-2000:]}')
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return found[0] | dict(seconds=found[1]['seconds'])


def run(config: str, options: dict, work: Workload, repeat: int) -> dict[str, float]:
    """Trains for one step without counting and ``repeat`` steps with; then once more to follow the tensors."""
    cfg = Config.fromfile(config)
    cfg.merge_from_dict(options)
    _one_pass_of_attention()
    before = resident_bytes('VmRSS')
    with Meter() as meter:
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

    step()
    gc.collect()
    Path('/proc/self/clear_refs').write_text('5')  # the largest resident size counts from here
    seconds = []
    for _ in range(repeat):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    resident = resident_bytes('VmHWM') - before
    with meter:
        meter.track([images, list(optimizer.state.values())])
        meter.reset_peak()
        step()
    return dict(tracked=meter.peak, resident=resident, seconds=statistics.median(seconds))


def _one_pass_of_attention() -> None:
    """Loads what PyTorch loads when it first computes; it is no part of a model's memory."""
    x = torch.rand(1, 4, 64, 64, requires_grad=True)
    layer = torch.nn.Conv2d(4, 4, 3)
    torch.nn.functional.scaled_dot_product_attention(x, x, x).matmul(x).sum().backward()
    layer(x).sum().backward()


def resident_bytes(name: str) -> int:
    """This process's resident size, bytes: now, ``VmRSS``, or at most so far, ``VmHWM`` (Linux)."""
    return 1024 * int(re.search(rf'{name}:\s+(\d+) kB', Path('/proc/self/status').read_text())[1])


def main() -> None:
    request = json.loads(sys.argv[1])
    work = request['workload']
    work['image_size'] = tuple(work['image_size'])
    print(json.dumps(run(request['config'], request['options'], Workload(**work), request['repeat'])))


if __name__ == '__main__':
    main()
