"""Batches drawn and read while the flow computes, so that it does not wait for the disk."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

DEPTH = 2
"""Batches that are drawn before they are asked for."""


class Draws(Protocol):
    """Draws batches."""

    def draw(self, generator: torch.Generator) -> Any:
        """Draw a batch, on the CPU."""


@dataclass(frozen=True)
class Drawn:
    """What a step is made of.

    Attributes
    ----------
    seed
        Of dropout.
    batch
        As `Draws.draw` returns it.
    state
        Of the generator, after it was drawn.
    """

    seed: int
    batch: Any
    state: Tensor


class Ahead:
    """Draws batches in a thread, in the order and with the numbers that drawing them one by one gives.

    Parameters
    ----------
    source
        Draws them.
    generator
        Where the draws begin. It is moved on by `take` and not before, so that its state is always that after
        the batches that were taken.

    Attributes
    ----------
    waited
        Seconds that `take` has waited for batches.
    """

    def __init__(self, source: Draws, generator: torch.Generator) -> None:
        self._source, self._generator = source, generator
        self._own = torch.Generator()
        self._own.set_state(generator.get_state())
        self._drawn: deque[Future[Drawn]] = deque()
        self.waited = 0.0

    @contextmanager
    def running(self) -> Iterator[Ahead]:
        """Keep the thread for as long as the block lasts; what nobody took is forgotten."""
        with ThreadPoolExecutor(1, thread_name_prefix="batches") as self._thread:
            self._drawn.extend(self._thread.submit(self._next) for _ in range(DEPTH))
            try:
                yield self
            finally:
                for future in self._drawn:
                    future.cancel()

    def take(self) -> Drawn:
        """Return the next batch; an error in drawing it is raised here."""
        start = time.perf_counter()
        drawn = self._drawn.popleft().result()
        self.waited += time.perf_counter() - start
        self._drawn.append(self._thread.submit(self._next))
        self._generator.set_state(drawn.state)
        return drawn

    def _next(self) -> Drawn:
        seed = int(torch.randint(2**62, (1,), generator=self._own))
        batch = self._source.draw(self._own)
        return Drawn(seed, batch, self._own.get_state())
