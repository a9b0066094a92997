"""Report on one screen whether this environment can run visionllm_mm, and what to do if not.

Exit status 0: it can; 1: it cannot. It needs only Python itself.
"""

from __future__ import annotations

import argparse
import importlib
import platform
import shutil
import sys
from importlib import metadata
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType


def load_environment() -> ModuleType:
    """visionllm_mm/compat/environment.py alone: visionllm_mm itself does not import without mmdet."""
    spec = find_spec('visionllm_mm')
    package = (
        Path(spec.submodule_search_locations[0])
        if spec and spec.submodule_search_locations
        else Path(__file__).resolve().parents[1] / 'visionllm_mm'
    )
    file = spec_from_file_location('visionllm_environment', package / 'compat' / 'environment.py')
    module = module_from_spec(file)
    sys.modules[file.name] = module  # dataclasses look their module up there
    file.loader.exec_module(module)
    return module


def show(mark: str | bool, name: str, text: str) -> None:
    """Print one line; the mark is 'ok', '--' (a problem) or '  ' (optional and absent)."""
    mark = mark if isinstance(mark, str) else ('ok' if mark else '--')
    print(f'  {mark}  {name:<14}{text}')


def show_optional(name: str, found: str | None, use: str) -> None:
    show('ok' if found else '  ', name, found or f'not found (optional: {use})')


def version_of(*distributions: str) -> str | None:
    for name in distributions:
        try:
            return f'{name} {metadata.version(name)}'
        except metadata.PackageNotFoundError:
            continue
    return None


def gpu_name() -> str | None:
    """Name of the GPU that torch can use, None without one or without torch."""
    try:
        torch = importlib.import_module('torch')
    except (ImportError, OSError):
        return None
    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def check_required(environment: ModuleType) -> list[str]:
    """Print the required packages; return what has to be done, empty if nothing."""
    for requirement in environment.REQUIREMENTS:
        found = environment.installed(requirement)
        problem = environment.version_problem(requirement, found)
        versions = ', '.join(f'{name} {version}' for name, version in found.items())
        tested = f'wanted {requirement.wanted}, tested {requirement.tested.partition("==")[2]}'
        show(problem is None, requirement.module, f'{versions or "not found"} ({tested})')
    return environment.version_report()[1]


def check_ops(environment: ModuleType, gpu: str | None) -> list[str]:
    """Print the state of mmcv's compiled ops; they are required on a GPU only."""
    try:
        state = environment.ops_state()
    except Exception as error:  # a broken mmcv can raise anything; this is a report, not a run
        state = f'broken: {error}'
    text = {
        'built': 'built',
        'missing': 'not built: enough for DETR-like models on the CPU, not for a GPU or Mask R-CNN',
    }.get(state, state)
    usable = state == 'built' or (state == 'missing' and gpu is None)
    show(usable, 'mmcv ops', text)
    if usable:
        return []
    todo = ['make install-ops (about 10 minutes on 2 cores)']
    return todo if state != 'missing' else [f'{todo[0]}, or CUDA_VISIBLE_DEVICES= to use the CPU']


def check_others() -> list[str]:
    """Print the packages that single functions need; return what has to be done for the required ones."""
    coco = version_of('pycocotools')
    opencv = version_of('opencv-python', 'opencv-python-headless', 'opencv-contrib-python')
    show(coco is not None, 'pycocotools', coco or 'not found (data sets and metrics of COCO)')
    show(opencv is not None, 'opencv', opencv or 'not found (reading and drawing images)')
    plugin = version_of('visionllm-mmdet')
    show(plugin is not None, 'visionllm_mm', plugin or 'not installed (make install)')
    show_optional('mim', version_of('onedl-mim', 'openmim'), 'mim train, mim test')
    show_optional('java', shutil.which('java'), 'the reference tokenizer for caption scores')
    needed = {'pycocotools': coco, 'opencv-python': opencv, '--no-deps -e .': plugin}
    return [f'{sys.executable} -m pip install {name}' for name, found in needed.items() if not found]


def main() -> int:
    argparse.ArgumentParser(description=__doc__.split('\n')[0]).parse_args()
    environment = load_environment()
    print(f'Python {platform.python_version()} on {platform.machine()}, {sys.executable}')
    gpu = gpu_name()
    todo = check_required(environment)
    if not todo:  # the check of the ops imports torch and mmcv
        todo += check_ops(environment, gpu)
    show('ok' if gpu else '  ', 'GPU', gpu or 'none that torch can use: everything runs on the CPU')
    todo += check_others()
    if not todo:
        print('It can run visionllm_mm.')
        return 0
    print('It cannot run visionllm_mm yet. What to do (in a checkout, `make install` does it all):')
    for line in todo:
        print(f'  {line}')
    return 1


if __name__ == '__main__':
    sys.exit(main())
