"""Whether predictions can have been made without the test cells.

Two things show that they cannot: cells that are test cells, value by value, and means that are nearer to the
real ones than their sampling noise allows. A part of the test cells, changed a little, shows neither.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from benchmark.data.blocks import moments
from benchmark.data.fingerprints import FEWEST, fingerprints
from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics.sorted_cells import Matrix

TOO_CLOSE = 0.1
"""Part of the noise below which an error is too small. That of an honest prediction is expected above the
whole, but what it turns out to be varies: genes vary together, as if there were fewer of them."""

MANY = 0.25
"""Share of the perturbations that have to be too close: one of a few may be by chance, and whoever knows some
of the answers must not hide behind the others."""


class Originals:
    """The test cells, to recognise copies of them by their fingerprints (`benchmark.data.fingerprints`).

    Parameters
    ----------
    real
        Test perturbation -> its cells, (cells, genes); a fingerprint of each is all that is held.
    """

    def __init__(self, real: Mapping[str, Matrix]) -> None:
        self._real = real
        self._label_of = {
            value: label for label in real for value in fingerprints(_sparse(real[label])).tolist()
        }

    def copies(self, cells: np.ndarray) -> int:
        """Count the cells, float32 (cells, genes), that are test cells.

        Those with fewer than `FEWEST` non-zero genes are no evidence and do not count.
        """
        sparse = _sparse(cells)
        known = map(self._label_of.get, fingerprints(sparse).tolist())
        deep = np.diff(sparse.indptr) >= FEWEST
        alike = {row: label for row, label in enumerate(known) if label is not None and deep[row]}
        there = {label: set(_rows(_sparse(self._real[label]))) for label in set(alike.values())}
        found = list(alike)
        return sum(
            row in there[label] for row, label in zip(_rows(sparse[found]), alike.values(), strict=True)
        )


def require_independence(real: Mapping[str, Matrix], scores: pd.DataFrame) -> None:
    """Refuse predictions that are nearer to the real means than their sampling noise.

    The mean of n real cells is off by v / n from what it estimates, in expected square, and no prediction
    that is independent of the cells can know how. So its expected `mse` is at least v / n, averaged over
    genes: E(p - m)^2 = E(p - mu)^2 + v / n for a prediction p, the mean m of the cells and its expectation
    mu. RefusedDataError is what is below `TOO_CLOSE` of that for a share `MANY` of the perturbations.

    Parameters
    ----------
    real
        Perturbation -> its real cells, (cells, genes), log1p of counts per 10,000.
    scores
        As `benchmark.evaluation.metrics.evaluate.evaluate` returns them, for those perturbations that were
        predicted.

    Raises
    ------
    BenchmarkError
        With how many are too close, and an example.
    """
    if scores.empty:
        return
    noise = np.array([_noise(_sparse(real[label])) for label in scores.index])
    error = scores["mse"].to_numpy()
    # Where all cells are alike there is no noise, and nothing to tell by.
    shares = np.divide(error, noise, out=np.full(len(error), np.inf), where=noise > 0)
    if np.quantile(shares, MANY, method="higher") < TOO_CLOSE:
        first = int(np.argmin(shares))
        raise BenchmarkError(
            f"{(shares < TOO_CLOSE).sum()} of {len(shares)} predictions are closer to the test cells than "
            f"any that has not seen them can be, such as that of '{scores.index[first]}' (MSE "
            f"{error[first]:.2g}, but the sampling noise of the real mean alone is {noise[first]:.2g}); "
            "predict without the test cells."
        )


def _noise(cells: csr_matrix) -> float:
    """Mean over genes of v / n, where v is the variance over n cells, divisor n - 1."""
    _, variance = moments(cells)
    return float(variance.mean() / cells.shape[0])


def _sparse(cells: Matrix) -> csr_matrix:
    return csr_matrix(cells, dtype=np.float32)


def _rows(cells: csr_matrix) -> list[bytes]:
    """Each row, such that equal ones are equal."""
    return [row.tobytes() for row in cells.toarray() + np.float32(0)]  # -0 becomes 0
