"""The command line in a process of its own, which a test may then stop, and waiting for what others do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

COMMAND = [sys.executable, "-m", "benchmark"]
PATIENCE = 600
"""Seconds until a test gives up on what is never to be: no machine is so busy that it takes minutes."""


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
    wait_until(f"there is {sign.name}", sign.exists, process)
    return process


def wait_until(what: str, holds: Callable[[], object], process: subprocess.Popen | None = None) -> None:
    """Wait until something holds, which `process`, where there is one, must live to see."""
    patience = time.monotonic() + PATIENCE
    while not holds():
        if process is not None and process.poll() is not None:
            pytest.fail(f"the process has ended before {what}: {process.communicate()[1]}")
        if time.monotonic() > patience:
            pytest.fail(f"after {PATIENCE} s it is still not so that {what}")
        time.sleep(0.05)


def wait_for_end(processes: list[psutil.Process]) -> None:
    """Wait until processes have ended; one that nobody waits for stays a zombie, as in a container."""
    wait_until(f"{processes} have ended", lambda: all(map(ended, processes)))


def ended(process: psutil.Process) -> bool:
    """Whether a process has ended."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
