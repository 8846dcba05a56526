"""Batches that are drawn ahead are those that would have been drawn one by one."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from scipy import sparse

from methods._flow.ahead import Ahead
from methods._flow.cells import DenseRows, blocks, mean_of_genes
from tests.methods.flow.flow_case import objective


class Numbers:
    """Draws three numbers a batch."""

    def draw(self, generator: torch.Generator) -> list[float]:
        return torch.rand(3, generator=generator).tolist()


class Breaks:
    """Draws two batches, and fails to read the third."""

    drawn = 0

    def draw(self, generator: torch.Generator) -> int:
        self.drawn += 1
        if self.drawn == 3:
            raise OSError("the disk has gone")
        return self.drawn


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(4)


def test_batches_come_in_order_with_the_numbers_of_one_generator() -> None:
    """The generator of the caller is where it would be had nothing been drawn ahead."""
    ahead, alone = Ahead(Numbers(), moved := seeded()), seeded()
    with ahead.running():
        for _ in range(6):
            drawn = ahead.take()
            assert drawn.seed == int(torch.randint(2**62, (1,), generator=alone))
            assert drawn.batch == torch.rand(3, generator=alone).tolist()
            assert torch.equal(moved.get_state(), alone.get_state())
    assert ahead.waited > 0


def test_an_error_in_reading_is_raised_when_its_batch_is_due() -> None:
    """The two before it are good."""
    with Ahead(Breaks(), seeded()).running() as ahead:
        assert [ahead.take().batch, ahead.take().batch] == [1, 2]
        with pytest.raises(OSError, match="the disk has gone"):
            ahead.take()


def test_training_ends_though_batches_were_drawn_that_nobody_takes() -> None:
    """And leaves no thread behind."""
    with Ahead(objective(), seeded()).running() as ahead:
        ahead.take()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


def test_rows_are_dense_when_they_are_asked_for() -> None:
    """In the order that is asked for, in the units of whoever asks."""
    cells = sparse.csr_matrix(np.arange(12, dtype=np.float32).reshape(4, 3))
    rows = DenseRows(cells, np.array([3, 1]), lambda part: torch.from_numpy(part.toarray()) * 2)
    assert (len(rows), rows.shape) == (2, (2, 3))
    assert rows[torch.tensor([1, 0, 0])].tolist() == [[6, 8, 10], [18, 20, 22], [18, 20, 22]]
    assert rows[0:1].tolist() == [[18, 20, 22]]


def test_means_do_not_depend_on_where_blocks_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit by bit; the mean is that of SciPy, which may add up in another order."""
    cells = sparse.random(50, 9, 0.4, format="csr", dtype=np.float32, rng=np.random.default_rng(0))
    whole = mean_of_genes(cells, np.asarray)
    np.testing.assert_allclose(whole, np.asarray(cells.astype(np.float64).mean(axis=0)).ravel(), rtol=1e-12)
    monkeypatch.setattr("methods._flow.cells.ENTRIES", 63)
    assert [block.shape[0] for block in blocks(cells)] == [7] * 7 + [1]
    assert np.array_equal(mean_of_genes(cells, np.asarray), whole)
