"""What has to be right before mmdet is imported: the versions, and mmcv's compiled ops.

The module imports the standard library only. `tools/check_env.py` loads it by its path where torch,
mmcv or mmdet are missing, which is when a report is needed most.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec

OPS_MODULE = 'mmcv._ext'


@dataclass(frozen=True)
class Requirement:
    """A package that visionllm_mm runs on.

    Attributes:
        module: name in an `import` statement.
        distributions: names on the package index that provide the module, the tested one first.
        minimum: lowest version that is known to work, inclusive.
        below: first version that is refused; empty where there is no such bound.
        tested: what `requirements/constraints.txt` pins, as pip takes it.
    """

    module: str
    distributions: tuple[str, ...]
    minimum: str
    below: str
    tested: str

    @property
    def wanted(self) -> str:
        return f'>={self.minimum}' + (f',<{self.below}' if self.below else '')


# onedl-* is the maintained line of the OpenMMLab packages under the same import names. The
# originals are accepted, since people have them; mmdet's own checks of them run after these.
REQUIREMENTS = (
    Requirement('torch', ('torch',), '2.6', '', 'torch==2.13.0'),
    Requirement('transformers', ('transformers',), '5.0', '', 'transformers==5.23.0'),
    Requirement('peft', ('peft',), '0.18', '', 'peft==0.21.2'),
    Requirement(
        'mmengine',
        ('onedl-mmengine', 'mmengine', 'mmengine-lite'),
        '0.10.7',
        '1',
        'onedl-mmengine==0.10.12',
    ),
    Requirement('mmcv', ('onedl-mmcv', 'mmcv', 'mmcv-lite'), '2.1.0', '2.5', 'onedl-mmcv==2.3.6'),
    Requirement('mmdet', ('onedl-mmdetection', 'mmdet'), '3.3.0', '3.7', 'onedl-mmdetection==3.5.1'),
)


def release(version: str) -> tuple[int, ...]:
    """'2.13.0+cpu' -> (2, 13): without trailing zeros, so that '2.6' equals '2.6.0'."""
    match = re.match(r'\d+(\.\d+)*', version)
    numbers = [int(number) for number in match.group().split('.')] if match else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def installed(requirement: Requirement) -> dict[str, str]:
    """Name -> version of every installed distribution that provides the module; {} if none does.

    Reads package metadata, so that nothing is imported. Source trees on PYTHONPATH have none: their
    modules are asked.
    """
    found = {}
    for distribution in requirement.distributions:
        try:
            found[distribution] = metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    # Metadata without the module is the rest of a removal gone wrong: it counts as missing.
    if find_spec(requirement.module) is None:
        return {}
    if not found:
        module = importlib.import_module(requirement.module)
        found[requirement.module] = str(getattr(module, '__version__', '0'))
    return found


def version_problem(requirement: Requirement, found: dict[str, str]) -> str | None:
    """One line about what is wrong with the versions found, None where they will do."""
    shown = ', '.join(f'{name} {version}' for name, version in found.items()) or 'nothing'
    line = f'{requirement.module}: found {shown}; wanted {requirement.wanted}'
    if len(found) > 1:
        return f"{line}, from one distribution: these overwrite each other's files"
    if not found:
        return line
    version = release(next(iter(found.values())))
    too_old = version < release(requirement.minimum)
    too_new = bool(requirement.below) and version >= release(requirement.below)
    return line if too_old or too_new else None


def version_report(
    requirements: tuple[Requirement, ...] = REQUIREMENTS,
    find: Callable[[Requirement], dict[str, str]] = installed,
) -> tuple[list[str], list[str]]:
    """(problems, commands): what is missing or unsupported, and what pip has to do about it."""
    problems, remove, install = [], [], []
    for requirement in requirements:
        found = find(requirement)
        problem = version_problem(requirement, found)
        if problem is None:
            continue
        problems.append(problem)
        install.append(requirement.tested)
        # Another distribution of the same module has to go first: pip does not know they collide.
        if len(found) > 1 or (found and requirement.distributions[0] not in found):
            remove += found
    pip = f'{sys.executable} -m pip'
    commands = [f'{pip} uninstall -y {" ".join(remove)}'] if remove else []
    commands += [f'{pip} install {" ".join(install)}'] if install else []
    return problems, commands


def check_versions(
    requirements: tuple[Requirement, ...] = REQUIREMENTS,
    find: Callable[[Requirement], dict[str, str]] = installed,
) -> None:
    """Raise one ImportError that names every missing or unsupported package and the remedy."""
    problems, commands = version_report(requirements, find)
    if problems:
        lines = [f'visionllm_mm cannot run with the packages of {sys.executable}:']
        lines += [f'  {problem}' for problem in problems]
        lines.append('Install the tested versions (in a checkout, `make install` does it):')
        lines += [f'  {command}' for command in commands]
        raise ImportError('\n'.join(lines))


def ops_state() -> str:
    """'built', 'missing' or 'broken: WHY' for mmcv's compiled ops. Imports torch and mmcv."""
    if find_spec('mmcv') is None or find_spec(OPS_MODULE) is None:
        return 'missing'
    try:
        importlib.import_module('torch')  # its shared libraries have to be loaded before the ops
        ops = importlib.import_module(OPS_MODULE)
    except ImportError as error:
        return f'broken: {error}'
    return 'missing' if hasattr(ops, '__stand_in__') else 'built'


def install_ops_stand_in() -> bool:
    """Let Python find the stand-in where mmcv was installed without its ops; return whether it is used.

    Where this package is installed, a .pth file has done so already. A checkout on PYTHONPATH has no such file.

    Raises:
        ImportError: the real ops are there but do not load, as after a change of torch.
    """
    state = ops_state()
    if state.startswith('broken'):
        versions = ', '.join(f'{name} {metadata.version(name)}' for name in ('torch', 'onedl-mmcv') if _has(name))
        raise ImportError(
            f"mmcv's compiled ops do not load with {versions} ({state.removeprefix('broken: ')}). "
            'They were built for another torch: rebuild them with `make install-ops`'
        )
    if find_spec(OPS_MODULE) is None:
        # Imported here, since tools/check_env.py loads this file where the package does not import.
        from visionllm_mm.compat import ops_finder

        ops_finder.install()
    return state == 'missing'


def _has(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
