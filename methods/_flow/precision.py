"""Which numbers a flow computes with."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Literal

import torch

Precision = Literal["auto", "float32", "bfloat16"]


def bfloat16_is_fast(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware: CUDA, and CPUs with AVX-512 BF16 or AMX."""
    if device.type != "cpu":
        return True
    return "avx512_bf16" in _cpu_flags() or "amx_bf16" in _cpu_flags()


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[None]:
    """Run matrix products inside in bfloat16 if asked for, or with ``auto`` where the hardware has it."""
    enabled = precision == "bfloat16" or (precision == "auto" and bfloat16_is_fast(device))
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


def _cpu_flags() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next((line for line in file if line.startswith("flags")), "")
    except OSError:  # other systems than Linux: nothing is known, float32 is always right
        return ""
