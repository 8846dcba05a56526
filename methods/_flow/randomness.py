"""Random numbers that begin at a seed, and leave the global state as it was, on the CPU and on every GPU."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let PyTorch's global generators begin at `seed` inside, and go on outside as if nothing had been."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def seeded_generator(seed: int, label: str) -> torch.Generator:
    """Randomness for one perturbation: the same whatever else is asked for."""
    digest = hashlib.sha256(f"{seed}:{label}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
