"""The genes that a protocol scores, where they are fewer than methods predict."""

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
    values = log_values.astype(np.float64).expm1()
    n_cells = values.shape[0]
    mean = np.asarray(values.mean(axis=0)).ravel()
    square = np.asarray(values.multiply(values).mean(axis=0)).ravel()
    variance = (square - mean**2) * n_cells / (n_cells - 1)
    ratio = np.maximum(variance, 0) / np.where(mean == 0, SILENT, mean)
    dispersion = pd.Series(np.log(np.where(ratio == 0, np.nan, ratio)))
    bins = pd.cut(pd.Series(np.log1p(mean)), BINS, labels=False)
    grouped = dispersion.groupby(bins)
    center, spread = grouped.transform("mean"), grouped.transform("std")
    alone = spread.isna()
    normalised = ((dispersion - center.mask(alone, 0)) / spread.where(~alone, center)).to_numpy()
    ranked = np.sort(normalised[~np.isnan(normalised)])[::-1]
    return np.flatnonzero(normalised >= ranked[min(count, len(ranked)) - 1])
