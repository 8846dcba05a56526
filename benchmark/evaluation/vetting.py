"""Whether submitted cells can be what they must be: log1p of counts per 10,000, each a cell of its own.

What `X` holds is declared, not guessed, so nothing is converted: a file that holds something else is refused
in one sentence that says how many of its cells do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.data.canonical_matrices import TARGET_DEPTH
from benchmark.data.fingerprints import FEWEST
from benchmark.errors import BenchmarkError
from benchmark.evaluation.independence import Originals
from benchmark.evaluation.metrics.sorted_cells import LARGEST_LOG_VALUE, Matrix

DEPTH_FACTOR = 10
"""A cell whose counts add up to more than this many times those of any real cell is refused."""

MEDIAN_FACTOR = 2
"""So are all, where half of them add up to more than this many times what any cell can: noise and a poor
model stay below, log2 in place of log1p or another depth do not."""

UNUSUAL_FACTOR = 3
"""A median so many times off that of the real cells is worth a word."""

Mask = Callable[[np.ndarray, np.ndarray, float], np.ndarray]


@dataclass(frozen=True)
class Fault:
    """What can be wrong with a cell.

    Attributes
    ----------
    what
        What such a cell holds.
    advice
        What to do.
    has
        (cells, counts of each cell, the most counts of a real cell) -> which cells have it, (cells,).
    """

    what: str
    advice: str
    has: Mask


FAULTS = (
    Fault(
        "values that are NaN or infinite",
        "write finite ones",
        lambda cells, counts, most: ~np.all(np.isfinite(cells), axis=1),
    ),
    Fault(
        "negative values",
        "log1p expression is at least 0: clamp it, and submit neither changes from control nor z-scores",
        lambda cells, counts, most: np.any(cells < 0, axis=1),
    ),
    Fault(
        f"raw values (whole numbers, or above {LARGEST_LOG_VALUE:g})",
        "normalise every cell to 10,000 counts and take log1p, or say --holds counts of raw counts",
        lambda cells, counts, most: (
            np.any(cells > LARGEST_LOG_VALUE, axis=1)
            | (np.all(cells == np.round(cells), axis=1) & np.any(cells, axis=1))
        ),
    ),
    Fault(
        f"more than {DEPTH_FACTOR} times the counts of any real cell (expm1 of X)",
        "X must be the natural log1p of counts per 10,000 over all genes of a cell",
        lambda cells, counts, most: counts > DEPTH_FACTOR * most,
    ),
)
"""In the order in which they are reported, the clearest first."""


class Vetting:
    """Counts over the perturbations of a file what is wrong with its cells.

    Parameters
    ----------
    path
        The file, for messages.
    real
        Real control cells, (cells, genes), log1p of counts per 10,000.
    originals
        The test cells, none of which may be there.
    copies
        Whether a cell may be there more than once.
    """

    def __init__(self, path: Path, real: Matrix, originals: Originals, copies: bool) -> None:
        self._path, self._originals, self._may_copy = path, originals, copies
        self._real = _counts(real)
        self._most = float(self._real.max())
        self._found: dict[Fault, tuple[int, str]] = {}
        self._copies: dict[str, int] = {}
        self._test_cells: dict[str, int] = {}
        self._seen: list[np.ndarray] = []

    def look(self, label: str, cells: np.ndarray) -> None:
        """Count what is wrong with the cells of one perturbation: float32, (cells, genes)."""
        with np.errstate(over="ignore", invalid="ignore"):  # such values are what is looked for
            counts = _counts(cells)
            for fault in FAULTS:
                n, first = self._found.get(fault, (0, label))
                n += int(fault.has(cells, counts, self._most).sum())
                if n:
                    self._found[fault] = n, first
        self._seen.append(counts)
        deep = cells[np.count_nonzero(cells, axis=1) >= FEWEST]  # shallower ones may be alike by chance
        repeated = len(deep) - len({row.tobytes() for row in deep + np.float32(0)})  # -0 becomes 0
        if repeated and not self._may_copy:
            self._copies[label] = repeated
        known = self._originals.copies(cells)
        if known:
            self._test_cells[label] = known

    def conclude(self) -> list[str]:
        """Return what is unusual.

        Raises
        ------
        BenchmarkError
            When cells of the file cannot be scored.
        """
        counts = np.concatenate(self._seen)
        for fault in FAULTS:
            if fault in self._found:
                n, first = self._found[fault]
                many = f"All {n}" if n == len(counts) else f"{n} of the {len(counts)}"
                raise BenchmarkError(
                    f"{many} predicted cells in {self._path} hold {fault.what}, first those of '{first}'; "
                    f"{fault.advice}."
                )
        self._refuse_test_cells(len(counts))
        self._refuse_copies()
        median, real = float(np.median(counts)), float(np.median(self._real))
        about = (
            f"the median predicted cell adds up to {median:,.0f} counts (expm1 of X), the median real one to "
            f"{real:,.0f}"
        )
        if median > MEDIAN_FACTOR * max(self._most, TARGET_DEPTH):
            raise BenchmarkError(
                f"In {self._path} {about}; X must be the natural log1p, not log2, of counts per 10,000 over "
                "all genes of a cell."
            )
        unusual = not real / UNUSUAL_FACTOR <= median <= real * UNUSUAL_FACTOR
        return [f"{about}; check that X is log1p of counts per 10,000"] if unusual else []

    def _refuse_test_cells(self, total: int) -> None:
        if self._test_cells:
            raise BenchmarkError(
                f"{sum(self._test_cells.values())} of the {total} predicted cells in {self._path} are exact "
                f"copies of test cells, first among those of '{next(iter(self._test_cells))}' (cells with "
                f"fewer than {FEWEST} non-zero genes do not count); predict without the test cells."
            )

    def _refuse_copies(self) -> None:
        if self._copies:
            label = max(self._copies, key=lambda name: self._copies[name])
            raise BenchmarkError(
                f"{sum(self._copies.values())} predicted cells in {self._path} are exact copies of another "
                f"of their perturbation, most of them of '{label}', which fakes significance; submit each "
                "cell once, or, where means are all that is predicted, --predicts mean."
            )


def _counts(cells: Matrix) -> np.ndarray:
    """Counts per 10,000 of each cell over the genes of the panel."""
    if isinstance(cells, np.ndarray):
        return np.expm1(cells, dtype=np.float64).sum(axis=1)
    return np.asarray(cells.astype(np.float64).expm1().sum(axis=1)).ravel()
