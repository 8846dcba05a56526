"""One run of a sweep, as it is sent to whoever does it, and what comes back; nothing heavy is imported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

State = Literal["done", "before", "failed", "elsewhere", "lost"]
"""Done now; done before; failed; under way in another process; its process ended without a word."""


@dataclass(frozen=True)
class Job:
    """One run, with values that can be sent to another process."""

    method: str
    dataset: str
    split: str
    seed: int
    cells: int
    samples: int = 1
    preset: str | None = None
    settings: tuple[tuple[str, Any], ...] = ()
    device: str = "auto"
    columns: tuple[tuple[str, Any], ...] = ()

    @property
    def identity(self) -> tuple[Any, ...]:
        """What makes it the same job: a preset that is called default, or not called, is the same."""
        preset = None if self.preset == "default" else self.preset
        return (self.method, self.dataset, self.split, self.seed, self.samples, preset, repr(self.settings))

    def __str__(self) -> str:
        return f"{self.method} on {self.dataset}, {self.split}-{self.seed}"


@dataclass(frozen=True)
class Outcome:
    """What came of a job: its run where there is one, and the reason where it failed."""

    state: State
    run_id: str = ""
    seconds: float = 0.0
    reason: str = ""
