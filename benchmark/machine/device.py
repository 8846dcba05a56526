"""Which device a method works on, and how many there are."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from benchmark.errors import BenchmarkError
from benchmark.machine.extras import named_where_missing

if TYPE_CHECKING:
    import torch

CHOICES = ("auto", "cpu", "cuda")
ANSWER = 10
"""Seconds that the program which sees GPUs has to answer."""


def require_device(device: str) -> None:
    """Raise `BenchmarkError` for CUDA where there is none, and for a name that is none of `CHOICES`."""
    if device not in CHOICES:
        raise BenchmarkError(f"There is no device '{device}'; choose auto, cpu or cuda.")
    if device == "cuda":
        with named_where_missing():
            import torch

        if not torch.cuda.is_available():
            raise BenchmarkError("No CUDA device was found here; choose the device auto or cpu.")


def seen_gpus() -> list[str]:
    """Name the GPUs that NVIDIA's own program sees, with their memory; PyTorch is not asked."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        said = subprocess.run(
            [program, "--query-gpu=name,memory.total", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=ANSWER,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return said.stdout.splitlines() if said.returncode == 0 else []


def choose_device(device: str) -> torch.device:
    """Resolve ``auto``, ``cpu`` or ``cuda``.

    Raises
    ------
    BenchmarkError
        As `require_device`.
    """
    require_device(device)
    with named_where_missing():
        import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(device)


def require_devices(count: int, device: str) -> None:
    """Raise `BenchmarkError` unless this machine has so many devices of the kind asked for."""
    with named_where_missing():
        import torch

    if choose_device(device).type == "cuda" and torch.cuda.device_count() < count:
        found = torch.cuda.device_count()
        raise BenchmarkError(
            f"{count} devices were asked for, but this machine has {found} of CUDA; "
            f"give --devices {found}, or --device cpu for {count} processes on CPUs."
        )
