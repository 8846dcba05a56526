"""Whether the process that does a run is still there."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

import psutil


def this_process() -> dict[str, str]:
    """What others can tell by whether this process still runs."""
    started = psutil.Process().create_time()
    return {"host": socket.gethostname(), "pid": str(os.getpid()), "process_started": str(started)}


def is_alive(tags: Mapping[str, str]) -> bool:
    """Whether the process that `this_process` told of still runs; on another machine nobody can tell."""
    if tags.get("host") != socket.gethostname():
        return True
    try:
        process = psutil.Process(int(tags["pid"]))
        started, ended = process.create_time(), process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    return not ended and abs(started - float(tags["process_started"])) < 1.0
