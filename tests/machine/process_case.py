"""The command line in a process of its own, which a test may then stop."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

COMMAND = [sys.executable, "-m", "benchmark"]


def environment() -> dict[str, str]:
    """This process's own, with which another finds the same packages."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def started(arguments: list[str], sign: Path, folder: Path | None = None) -> subprocess.Popen:
    """Start a command in a folder, and wait for the file by which it shows that it is under way."""
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    patience = time.monotonic() + 60
    while not sign.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < patience
        time.sleep(0.1)
    return process
