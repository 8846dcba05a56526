"""Which device a method works on, and how many there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    import torch


def choose_device(device: str) -> torch.device:
    """Resolve ``auto``, ``cpu`` or ``cuda``.

    Raises
    ------
    BenchmarkError
        For CUDA where there is none, and for any other name.
    """
    import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device not in ("cpu", "cuda"):
        raise BenchmarkError(f"There is no device '{device}'; choose auto, cpu or cuda.")
    if device == "cuda" and not torch.cuda.is_available():
        raise BenchmarkError("No CUDA device was found here; choose the device auto or cpu.")
    return torch.device(device)


def require_devices(count: int, device: str) -> None:
    """Raise `BenchmarkError` unless this machine has so many devices of the kind asked for."""
    import torch

    if choose_device(device).type == "cuda" and torch.cuda.device_count() < count:
        found = torch.cuda.device_count()
        raise BenchmarkError(
            f"{count} devices were asked for, but this machine has {found} of CUDA; "
            f"give --devices {found}, or --device cpu for {count} processes on CPUs."
        )
