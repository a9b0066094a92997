"""Tools as a user starts them, shared by the tests."""

import subprocess
import sys

from tests.helpers.tiny import ROOT


def run_tool(name: str, *arguments: object) -> subprocess.CompletedProcess:
    """What ``python tools/NAME ARGUMENTS`` prints, and its exit status."""
    return subprocess.run(
        [sys.executable, str(ROOT / 'tools' / name), *map(str, arguments)], capture_output=True, text=True, timeout=300
    )
