"""Which device a method works on."""

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
