"""The processes of one run that has several devices: which of them this is, and what they do together.

All of them run the same command. The first one records, writes and prints; the others compute their share.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from benchmark.errors import BenchmarkError
from benchmark.machine.extras import named_where_missing

if TYPE_CHECKING:
    import numpy as np
    from accelerate import Accelerator
    from torch import Tensor, nn
    from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")


class LostProcessError(BenchmarkError):
    """Another process of the run has ended in the middle of it."""


@dataclass(frozen=True)
class Group:
    """The processes that work on one run.

    Attributes
    ----------
    accelerator
        What connects them.
    """

    accelerator: Accelerator

    @property
    def count(self) -> int:
        """How many there are."""
        return self.accelerator.num_processes

    @property
    def rank(self) -> int:
        """Which of them this one is; 0 is the one that records."""
        return self.accelerator.process_index

    def gather(self, tensor: Tensor) -> Tensor:
        """Put the tensors of all processes together along the first axis; all must have the same shape."""
        gathered: Tensor = self.accelerator.gather(tensor.detach().to(self.accelerator.device))
        return gathered.to(tensor.device)

    def averaging(self, module: nn.Module) -> nn.Module:
        """Wrap a module so that its gradients are the mean over all processes."""
        wrapped: DistributedDataParallel = self.accelerator.prepare_model(module)
        wrapped.broadcast_buffers = False  # the graph of genes, large and the same everywhere
        return wrapped


_group: ContextVar[Group | None] = ContextVar("group", default=None)


def current() -> Group | None:
    """The processes that this one works with; None where it works alone."""
    return _group.get()


def first_goes_first() -> AbstractContextManager[None]:
    """Let the first process do what is inside before the others do: these find what it has cached."""
    group = current()
    turns: AbstractContextManager[None]
    turns = nullcontext() if group is None else group.accelerator.main_process_first()
    return turns


def agree(value: T) -> T:
    """Return what the first process gave; a process that works alone always agrees."""
    if current() is None:
        return value
    from accelerate.utils import broadcast_object_list

    values = [value]
    broadcast_object_list(values)
    return values[0]


def spread(do: Callable[[T], np.ndarray], items: Sequence[T]) -> Iterator[np.ndarray]:
    """Do something for each item, every process for a part of them; all of them get all results in order.

    Parameters
    ----------
    do
        Its results must all have the same shape and type.
    items
        The same in every process.
    """
    group = current()
    if group is None:
        yield from map(do, items)
        return
    import torch

    for first in range(0, len(items), group.count):
        own = do(items[min(first + group.rank, len(items) - 1)])
        everyone = group.gather(torch.from_numpy(own).unsqueeze(0))
        yield from everyone[: len(items) - first].numpy()


@contextmanager
def joined(cpu: bool) -> Iterator[Group]:
    """Work inside with the other processes that a launcher has started beside this one.

    Parameters
    ----------
    cpu
        Whether they work on CPUs; else each has a GPU.

    Raises
    ------
    BenchmarkError
        Where Accelerate is not installed.
    LostProcessError
        When another process ends in the middle.
    """
    with named_where_missing():
        from accelerate import Accelerator
        from accelerate.utils import DistributedDataParallelKwargs

    # Not every parameter of a flow is used by every objective.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    with noticing_loss():
        group = Group(Accelerator(cpu=cpu, mixed_precision="no", kwargs_handlers=[unused]))
        token = _group.set(group)
        try:
            yield group
        finally:
            _group.reset(token)
            _part()


@contextmanager
def noticing_loss() -> Iterator[None]:
    """Say in one sentence that another process has ended, where the connection says it at length."""
    try:
        yield
    except RuntimeError as error:
        # What has not loaded PyTorch has no peers; gloo raises plain RuntimeErrors, which name its sources.
        connection = sys.modules.get("torch.distributed")
        if connection is None or not (isinstance(error, connection.DistError) or "/gloo/" in str(error)):
            raise
        raise LostProcessError(
            "Another process of this run has ended in the middle of it; "
            "the same command goes on from the last checkpoint, if one had been written."
        ) from error


def _part() -> None:
    """End the connection, without waiting for a process that is no more."""
    from torch import distributed

    if distributed.is_initialized():
        distributed.destroy_process_group()
