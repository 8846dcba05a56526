"""What one run of a method takes of a machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Resources:
    """Declared on a method, and read by whoever places several runs on machines.

    Attributes
    ----------
    cpus
        Cores that a run keeps busy.
    gpus
        GPUs, or a share of one, that it uses where there are any; it runs without.
    memory_gb
        Main memory that it takes at most.
    """

    cpus: int = 1
    gpus: float = 0.0
    memory_gb: float = 2.0
