"""What the tools share: arguments, config, work folder and launcher, the model, and errors in one line.

Heavy imports stay inside the functions, so that `-h` and a mistyped path answer at once.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmengine.config import Config

    from visionllm_mm.apis import VisionLLMInferencer
    from visionllm_mm.miniscenes import Example

BRIGHT_COLORS = [
    (255, 225, 25),
    (0, 255, 255),
    (255, 80, 255),
    (0, 255, 80),
    (255, 150, 30),
    (255, 255, 255),
    (255, 150, 190),
    (130, 200, 255),
]
"""RGB, 0..255."""


def add_shared_arguments(parser: argparse.ArgumentParser, launcher: bool = True) -> None:
    """Add the arguments that all scripts of mmdet share; with ``launcher``, also those of distributed runs."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        metavar='KEY=VALUE',
        help='override settings of the config, as in --cfg-options train_cfg.max_epochs=2 '
        'model.test_cfg.score_thr=0.05; no white space inside a value',
    )
    if not launcher:
        parser.set_defaults(launcher='none', local_rank=0)
        return
    parser.add_argument(
        '--launcher',
        choices=('none', 'pytorch', 'slurm', 'mpi'),
        default='none',
        help='how the processes of a distributed run were started (default: none); on a CPU, '
        'pytorch works with the gloo backend',
    )
    # torch.distributed.launch passes one of the two spellings, depending on its version; torchrun passes none.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def parse_with_model(parser: argparse.ArgumentParser, device: bool = True) -> argparse.Namespace:
    """Parse the command line with arguments for a model, by default the released small one, and check its files."""
    root, name = Path(__file__).resolve().parents[1], 'visionllm-tiny_miniscenes-multitask'
    parser.add_argument('--config', default=str(root / f'configs/visionllm/{name}.py'), help='config of the model')
    parser.add_argument('--weights', default=str(root / f'checkpoints/{name}.pth'), help='its weights')
    if device:
        parser.add_argument('--device', default='cpu', help='such as cuda:0 (default: cpu)')
    args = parser.parse_args()
    require_file(args.config, 'config')
    require_file(args.weights, 'weights')
    return args


def load_inferencer(args: argparse.Namespace, **kwargs) -> VisionLLMInferencer:
    """The VisionLLMInferencer of the command line; stops with one line where it can't be built."""
    from visionllm_mm.apis import VisionLLMInferencer

    try:
        return VisionLLMInferencer(args.config, args.weights, device=args.device, **kwargs)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f'{Path(sys.argv[0]).name}: {error}')


def draw_large(inferencer: VisionLLMInferencer) -> None:
    """Let the inferencer draw small pictures enlarged, and in colors that are seen on dark pictures, too."""
    inferencer.visualizer.min_size = 512
    inferencer.visualizer.dataset_meta = dict(inferencer.visualizer.dataset_meta, palette=BRIGHT_COLORS)


def describe_weights(weights: str) -> str:
    """Their name and, of released ones, what they do not know: configs/visionllm/metafile.yml states it."""
    import hashlib

    import yaml

    metafile = Path(__file__).resolve().parents[1] / 'configs/visionllm/metafile.yml'
    file = Path(weights).expanduser()
    known = f'Weights: {file.name}.'
    if not file.is_file() or not metafile.is_file():
        return known
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    entries = (model['Metadata'] for model in yaml.safe_load(metafile.read_text())['Models'])
    limits = [entry['Limits'] for entry in entries if entry.get('SHA256') == digest and 'Limits' in entry]
    return ' '.join([known, *limits])


def render_scenes(folder: Path, count: int) -> dict[str, Example]:
    """Paths of rendered scenes of MiniScenes, for the released model, and what is in them; always the same scenes."""
    from PIL import Image

    from visionllm_mm.miniscenes.examples import make_example

    scenes = {}
    for index in range(count):
        path = folder / f'scene_{index}.png'
        scenes[str(path)] = make_example(seed=0, split='val', index=index, size=128)
        Image.fromarray(scenes[str(path)].image).save(path)
    return scenes


def require_file(path: str, what: str) -> None:
    """Stop with one line where a path given on the command line is no file; URLs pass."""
    if '://' not in path and not Path(path).expanduser().is_file():
        here = f' (relative to {Path.cwd()})' if not Path(path).is_absolute() else ''
        sys.exit(f'{Path(sys.argv[0]).name}: {what} not found: {path}{here}')


def import_plugin() -> None:
    """Import visionllm_mm, load checkpoints as data only, and let messages show names in any locale."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, 'reconfigure'):
            stream.reconfigure(errors='backslashreplace')
    # The warning comes from mmdet's own code; users of these tools can't fix it.
    warnings.filterwarnings('ignore', message='torch.meshgrid: in an upcoming release')
    try:
        import visionllm_mm  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != 'visionllm_mm':
            raise
        sys.exit(
            f'visionllm_mm is not installed for {sys.executable}: run `make install` in the '
            'checkout and use .venv/bin/python, or `pip install --no-deps -e .`'
        )
    from visionllm_mm.compat.safe_checkpoints import use_safe_checkpoint_loading

    use_safe_checkpoint_loading()


def keep_freed_memory() -> None:
    """Let glibc keep freed memory instead of giving it back to the system after every large tensor.

    Training on a CPU becomes a sixth faster (docs/decisions.md#freed-memory-on-cpus). With another C library than glibc
    it does nothing.
    """
    import ctypes

    trim_threshold, top_pad, mmap_max = -1, -2, -4  # names M_* of malloc.h
    try:
        libc = ctypes.CDLL('libc.so.6')
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, 2**31 - 1)
        libc.mallopt(top_pad, 512 * 2**20)
    except (OSError, AttributeError):
        pass


def parse_options(options: Sequence[str] | None) -> dict:
    """Parse the KEY=VALUE strings of the command line into settings."""
    from mmengine.config import DictAction

    if not options:
        return {}
    values = argparse.ArgumentParser()
    values.add_argument('--cfg-options', nargs='+', action=DictAction)
    try:
        return values.parse_args(['--cfg-options', *options]).cfg_options
    except ValueError as error:
        sys.exit(
            f'{Path(sys.argv[0]).name}: --cfg-options takes KEY=VALUE without white space, got '
            f'{" ".join(options)!r}: {error}'
        )


def read_config(path: str, options: Sequence[str] | None = None) -> Config:
    """Read the config and override its settings by KEY=VALUE strings."""
    import re

    from visionllm_mm import config_files
    from visionllm_mm.compat.renamed import old_types

    try:
        cfg = config_files.read_config(path, parse_options(options))
    except (FileNotFoundError, ValueError, SyntaxError, re.error) as error:  # also of files that the config reads
        sys.exit(f'{Path(sys.argv[0]).name}: {path}: {error}')
    except KeyError as error:  # such as a variable that is not set, an index of a list or two bases with one setting
        sys.exit(f'{Path(sys.argv[0]).name}: {path}: {error.args[0]}')
    # A run writes its config three times, and formatting the multi-task config takes 20 s each time.
    # (The argument of fromfile for this has an effect in mmengine 0.10 only for configs of the newer style.)
    object.__setattr__(cfg, '_format_python_code', False)
    if found := old_types(cfg.to_dict()):
        names = '; '.join(found)
        sys.exit(f'{Path(sys.argv[0]).name}: {path} is of an earlier checkout: {names} (CHANGELOG.md has all names)')
    return cfg


def load_config(args: argparse.Namespace) -> Config:
    """Read the config and apply --cfg-options, --work-dir and --launcher to it."""
    keep_freed_memory()
    cfg = read_config(args.config, args.cfg_options)
    if args.work_dir:
        cfg.work_dir = args.work_dir
    elif not cfg.get('work_dir'):
        cfg.work_dir = str(Path('work_dirs') / Path(args.config).stem)
    cfg.launcher = args.launcher
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    if args.launcher == 'pytorch':
        prepare_cpu_processes(cfg)
    return cfg


def prepare_cpu_processes(cfg: Config) -> None:
    """Start the process group with gloo where there is no GPU; with one, mmengine does it.

    mmengine itself first selects a CUDA device, and its default wrapper places the model on one: both fail on
    a CPU with any backend.
    """
    import torch

    if torch.cuda.is_available():
        return
    torch.distributed.init_process_group(backend='gloo')
    cfg.merge_from_dict({'env_cfg.dist_cfg.backend': 'gloo'})
    wrapper = {
        'type': 'MMDistributedDataParallel',
        'broadcast_buffers': False,
        'find_unused_parameters': cfg.get('find_unused_parameters', False),
    }
    wrapper.update(cfg.get('model_wrapper_cfg') or {})
    cfg.model_wrapper_cfg = {**wrapper, 'device_ids': None}


def require_data(cfg: Config, *keys: str) -> None:
    """Stop where files that these parts of the config name are missing, and state where to get them.

    Also where they have a class set without a class.
    """
    from visionllm_mm.config_files import walk
    from visionllm_mm.datasets.required_files import check_files

    for place, value in walk({key: cfg.get(key) for key in keys}):
        if place.endswith('.classes') and value is not None and not len(value):
            sys.exit(
                f'{Path(sys.argv[0]).name}: {place} of {cfg.filename} is empty: name at least one class, or leave it '
                'out to take those of the annotation file'
            )
    try:
        check_files(*(cfg.get(key) for key in keys))
    except FileNotFoundError as error:
        sys.exit(f'{Path(sys.argv[0]).name}: {error}')


def require_own_data(cfg: Config, *keys: str) -> None:
    """Stop where annotation files of own data that these parts of the config name have errors.

    Runner would build the model first. The data sets that it builds afterwards read the files no second time.
    """
    from mmdet.registry import DATASETS
    from mmengine.registry import init_default_scope

    from visionllm_mm.datasets.own_coco import own_datasets

    init_default_scope(cfg.get('default_scope', 'mmdet'))
    try:
        for dataset in own_datasets([cfg.get(key) for key in keys]):
            DATASETS.build(dataset)
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f'{Path(sys.argv[0]).name}: {error}')


def require_weights(cfg: Config) -> None:
    """Stop where weights to start from are missing or can't be read, before models of many GB are built."""
    name = Path(sys.argv[0]).name
    backbone = cfg.model.get('backbone') or {}
    wanted = {
        'load_from': cfg.get('load_from'),
        'model.backbone.init_cfg.checkpoint': (backbone.get('init_cfg') or {}).get('checkpoint'),
    }
    # Checkpoints of mmengine's strategies may be folders.
    exists = Path.exists if 'runner_type' in cfg else Path.is_file
    for setting, path in wanted.items():
        if path and '://' not in path and not exists(Path(path).expanduser()):
            sys.exit(
                f'{name}: {setting} of {cfg.filename} names weights that are missing: {path}. '
                'Train or convert them first (the head of the config and docs/weights.md say how), name others, '
                f'or begin without: --cfg-options {setting.removesuffix(".checkpoint")}=None'
            )
    deepspeed = (cfg.get('strategy') or {}).get('type') == 'DeepSpeedStrategy'
    if deepspeed and cfg.get('load_from') and not Path(cfg.load_from).expanduser().is_dir():
        # DeepSpeed would stop with an assertion without a message.
        sys.exit(
            f'{name}: load_from of {cfg.filename} is {cfg.load_from}, but DeepSpeed reads only folders that it '
            'wrote. Start from the file by --cfg-options load_from=None model.init_cfg.type=Pretrained '
            f'model.init_cfg.checkpoint={cfg.load_from}'
        )


def build_runner(cfg: Config):
    """Build a Runner, or the runner class that the config names, without the hooks that are None in ``default_hooks``.

    mmengine takes None for its own hooks alone. Stops with one line where the model can't be built or warmed up.
    """
    from mmengine.registry import RUNNERS
    from mmengine.runner import Runner

    hooks, own = cfg.get('default_hooks') or {}, ('timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint')
    for name in [name for name, hook in hooks.items() if hook is None and name not in own]:
        del hooks[name]
    try:
        runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
        for hook in runner.hooks:
            if hasattr(hook, 'check'):
                hook.check(runner)
    except (FileNotFoundError, ImportError, ValueError) as error:
        sys.exit(f'{Path(sys.argv[0]).name}: {error}')
    return runner


@contextlib.contextmanager
def data_errors_in_one_line() -> Iterator[None]:
    """Stop with one line where images can't be read or nothing can be evaluated; the message names file and remedy."""
    from visionllm_mm.engine.loops import TasksFailedError
    from visionllm_mm.engine.tolerant_loops import NothingAnsweredError
    from visionllm_mm.image_files import ImageFileError

    try:
        yield
    except (ImageFileError, FileNotFoundError, NothingAnsweredError, TasksFailedError) as error:
        message = str(error)
        if message.startswith('Caught '):  # in a worker process: a traceback, at its end "package.ErrorType: message"
            message = message.strip().splitlines()[-1].partition(': ')[2]
        sys.exit(f'{Path(sys.argv[0]).name}: {message}')


def leave_process_group() -> None:
    """End a finished distributed run in all processes.

    Without it, gloo threads that still hold tensors sometimes abort a process at exit
    (github.com/pytorch/pytorch/pull/179291), and torchrun reports a failure.
    """
    from mmengine.dist import barrier, is_distributed
    from torch.distributed import destroy_process_group

    if is_distributed():
        barrier()
        destroy_process_group()
