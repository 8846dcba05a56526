"""Matrices in canonical form, and what reading them from counts and from log values has in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix

from benchmark.errors import BenchmarkError, unknown

TARGET_DEPTH = 1e4


@dataclass(frozen=True)
class Matrices:
    """Matrices in canonical form.

    Attributes
    ----------
    expression
        float32, (cells, genes), log1p of counts per 10,000.
    counts
        float32, (cells, genes), where there are any.
    depth
        float64, (cells,), only where `expression` was computed from counts.
    """

    expression: csr_matrix
    counts: csr_matrix | None
    depth: np.ndarray | None


class WrongValuesError(BenchmarkError):
    """A matrix does not hold what was declared; `mend` is what a card says to read it, or None."""

    def __init__(self, sentence: str, mend: Mapping[str, Any] | None = None) -> None:
        super().__init__(sentence)
        self.mend = mend


def cut(matrix: csr_matrix, columns: np.ndarray | None) -> csr_matrix:
    """Keep some columns, as float32."""
    cut = matrix.astype(np.float32)
    if columns is not None:
        cut = cut[:, columns]
        cut.sort_indices()
    return cut


def numbers(adata: AnnData, column: str) -> np.ndarray:
    """Return a column of obs as float64, (cells,), NaN where it has no number."""
    if column not in adata.obs:
        raise unknown("column of obs", column, map(str, adata.obs.columns))
    return np.asarray(pd.to_numeric(adata.obs[column], errors="coerce"), dtype=np.float64)
