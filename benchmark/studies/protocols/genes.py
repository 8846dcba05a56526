"""How others choose the genes that they score: those that vary most, those of the largest t."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from benchmark.data import Dataset
from benchmark.perturbation import CONTROL
from benchmark.splits import Split

BINS = 20
SILENT = 1e-12
"""The mean that stands for 0, so that a gene without counts can be divided by it."""


def evaluation_genes(dataset: Dataset, split: Split, count: int | None) -> np.ndarray:
    """Return the columns that are scored on a split, ascending.

    Parameters
    ----------
    dataset, split
        Their control and test cells decide. That test cells do is what scDFM did; it decides what is scored,
        and no method sees it.
    count
        How many; all genes where it is None.
    """
    if count is None:
        return np.arange(dataset.adata.n_vars)
    rows = dataset.adata.obs["perturbation"].isin([CONTROL, *split.test]).to_numpy()
    return most_variable(dataset.adata.X[rows], count)


def most_variable(log_values: csr_matrix, count: int) -> np.ndarray:
    """Return the columns of highest normalised dispersion, ascending.

    The procedure of Satija et al., Nature Biotechnology 33, 495 (2015) with scanpy's defaults: log of
    variance over mean of the counts per 10,000, standardised among the genes in the same of 20 bins of equal
    width of log1p mean; a gene that is alone in its bin gets 1.

    Parameters
    ----------
    log_values
        (cells, genes), log1p of counts per 10,000.
    count
        How many genes; those as variable as the last one come too.
    """
    mean, variance = moments(log_values.astype(np.float64).expm1())
    ratio = variance / np.where(mean == 0, SILENT, mean)
    dispersion = pd.Series(np.log(np.where(ratio == 0, np.nan, ratio)))
    bins = pd.cut(pd.Series(np.log1p(mean)), BINS, labels=False)
    grouped = dispersion.groupby(bins)
    center, spread = grouped.transform("mean"), grouped.transform("std")
    alone = spread.isna()
    normalised = ((dispersion - center.mask(alone, 0)) / spread.where(~alone, center)).to_numpy()
    ranked = np.sort(normalised[~np.isnan(normalised)])[::-1]
    return np.flatnonzero(normalised >= ranked[min(count, len(ranked)) - 1])


def top_by_t(cells: csr_matrix, control: csr_matrix, count: int) -> np.ndarray:
    """Return the columns of largest |Welch t| between two groups of cells; ties keep gene order.

    The DE genes of GEARS (`gears/data_utils.py`): scanpy's t-test, ranked by absolute score.
    """
    (mean, variance), (center, spread) = moments(cells), moments(control)
    error = np.sqrt(variance / cells.shape[0] + spread / control.shape[0])
    t = np.divide(mean - center, error, out=np.zeros_like(mean), where=error > 0)
    return np.argsort(-np.abs(t), kind="stable")[:count]


def means(cells: csr_matrix) -> np.ndarray:
    """Means over cells, float64, (genes,)."""
    return np.asarray(cells.mean(axis=0, dtype=np.float64)).ravel()


def moments(cells: csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """Means and variances with divisor n - 1 over cells, float64, (genes,)."""
    mean = means(cells)
    values = cells.astype(np.float64)
    n_cells = cells.shape[0]
    return mean, np.maximum(means(values.multiply(values)) - mean**2, 0) * n_cells / max(n_cells - 1, 1)
