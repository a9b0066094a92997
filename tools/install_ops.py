"""Build mmcv's compiled ops for the installed torch and install them, unless they are there.

The wheel is kept by torch version in the user's cache folder and used again. pip's own cache does not suffice: it
keeps mmcv with ops, without ops and for another torch under the same name.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from importlib import metadata
from pathlib import Path

DISTRIBUTION = 'onedl-mmcv'
BUILD_TOOLS = ('setuptools<81', 'wheel', 'ninja', 'psutil', 'numpy')
# Where the ops are missing, the import may find visionllm_mm's stand-in for them.
IMPORT_OPS = 'import sys, torch, mmcv._ext; sys.exit(hasattr(mmcv._ext, "__stand_in__"))'


def run(*command: str, quiet: bool = False) -> int:
    sink = subprocess.DEVNULL if quiet else None
    return subprocess.call([sys.executable, *command], stdout=sink, stderr=sink)


def ops_load() -> bool:
    """Whether the ops load in a new interpreter, which sees the packages just installed."""
    return run('-c', IMPORT_OPS, quiet=True) == 0


def what_is_missing() -> str | None:
    """Why the ops cannot be built here, with the remedy; None if they can."""
    try:
        metadata.version(DISTRIBUTION)
        metadata.version('torch')
    except metadata.PackageNotFoundError as error:
        return f'{error.name} is not installed: run `make install` first'
    compiler = os.environ.get('CXX', '').split(' ')[0]
    if not any(shutil.which(name) for name in (compiler, 'c++', 'g++', 'clang++') if name):
        return 'no C++ compiler found: install one (`apt-get install g++`) or name it in CXX'
    header = Path(sysconfig.get_paths()['include']) / 'Python.h'
    if not header.is_file():
        return f"{header} not found: install Python's headers (`apt-get install python3-dev`)"
    import torch
    from torch.utils.cpp_extension import CUDA_HOME

    if torch.cuda.is_available() and not (CUDA_HOME and shutil.which(f'{CUDA_HOME}/bin/nvcc')):
        return (
            f'a GPU is there but no nvcc: install the CUDA {torch.version.cuda} toolkit and set '
            'CUDA_HOME, or hide the GPU with CUDA_VISIBLE_DEVICES= to build for the CPU'
        )
    return None


def wheel_folder() -> Path:
    """The folder of wheels for exactly this mmcv, torch, Python and type of device."""
    import torch

    version, python = metadata.version(DISTRIBUTION), sys.implementation.cache_tag
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    key = f'{version}-torch{torch.__version__}-{python}-{device}'
    cache = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache')
    return cache / 'visionllm-mmdet' / 'ops' / key


def build(folder: Path) -> Path:
    """Compile the wheel into the folder and return it.

    Without --no-cache-dir pip may take a wheel without ops that it cached under the same name.
    """
    constraints = Path(__file__).resolve().parents[1] / 'requirements' / 'constraints.txt'
    pins = ['-c', str(constraints)] if constraints.is_file() else []
    if run('-m', 'pip', 'install', '-qq', *pins, *BUILD_TOOLS):
        sys.exit('install_ops.py: the build tools could not be installed (see above)')
    requirement = f'{DISTRIBUTION}=={metadata.version(DISTRIBUTION)}'
    command = ['-m', 'pip', 'wheel', '-qq', '--no-build-isolation', '--no-deps', '--no-cache-dir']
    command += ['--no-binary', DISTRIBUTION, '--wheel-dir', str(folder), requirement]
    if run(*command):
        sys.exit(f'install_ops.py: building {requirement} failed (see above)')
    return newest_wheel(folder)


def newest_wheel(folder: Path) -> Path | None:
    wheels = sorted(folder.glob('onedl_mmcv-*.whl'), key=lambda wheel: wheel.stat().st_mtime)
    return wheels[-1] if wheels else None


def install(wheel: Path) -> bool:
    """Put the wheel in place of the mmcv without ops; True if its ops load."""
    options = ('--no-deps', '--force-reinstall', '--no-index')
    return run('-m', 'pip', 'install', '-qq', *options, str(wheel)) == 0 and ops_load()


def main() -> None:
    argparse.ArgumentParser(description=__doc__.split('\n')[0]).parse_args()
    if importlib.util.find_spec('mmcv') is not None and ops_load():
        print("mmcv's ops are built already")
        return
    problem = what_is_missing()
    if problem:
        sys.exit(f'install_ops.py: {problem}')
    folder = wheel_folder()
    folder.mkdir(parents=True, exist_ok=True)
    kept = newest_wheel(folder)
    if kept and install(kept):
        print(f"mmcv's ops installed from {kept}")
        return
    print("compiling mmcv's ops: about 10 minutes on 2 cores", flush=True)
    start = time.monotonic()
    wheel = build(folder)
    if not install(wheel):
        sys.exit(f'install_ops.py: {wheel} was built, but `{IMPORT_OPS}` fails: run it to see why')
    minutes = (time.monotonic() - start) / 60
    print(f"mmcv's ops built in {minutes:.0f} minutes; the wheel is kept as {wheel}")


if __name__ == '__main__':
    main()
