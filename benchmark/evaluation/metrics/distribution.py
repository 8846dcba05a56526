"""Metrics of whole distributions of cells: whether predicted cells spread as real ones do.

All are taken in the space of log1p of counts per 10,000 of all genes, because a distance between
distributions means nothing without its space ("GGE", arXiv 2603.11244). In so many genes most of a distance
between two cells is noise, so real cells score far from worst against any guess: look at the ceiling.
"""

from __future__ import annotations

import math

import numpy as np

from benchmark.evaluation.metrics.once import once_per_pair
from benchmark.evaluation.metrics.response import Response
from benchmark.evaluation.metrics.sorted_cells import chunks_of_genes, evenly
from benchmark.evaluation.metrics.spec import MetricSpec, metric

SPACE = "all genes, log1p of counts per 10,000"
MOST_CELLS = 512
CELLS = f"of more than {MOST_CELLS} cells as many, evenly spaced by a checksum of their values"
ROUNDING = 1e-12  # of the squared lengths; a squared distance below it is 0
STILL = "the real cells vary in no gene"


def _spec(
    name: str,
    formula: str,
    greatest: float = math.inf,
    reference: str = "none",
    nan_means: str = "never NaN",
    higher_is_better: bool | None = False,
) -> MetricSpec:
    return MetricSpec(
        name=name,
        version="1",
        family="distribution",
        formula=formula,
        range=(0.0, greatest),
        higher_is_better=higher_is_better,
        gene_set=SPACE,
        reference=reference,
        nan_means=nan_means,
        reads="cells",
        needs="cells",
    )


@metric(
    _spec(
        "energy_distance",
        "2 mean |x - y| - mean |x - x'| - mean |y - y'|, x predicted and y real cells, Euclidean distances, "
        f"means over all pairs, each cell with itself too (V-statistic; Szekely and Rizzo 2013; {CELLS}); "
        "cell-eval's, which it takes between each side and its control",
    )
)
def energy_distance(real: Response, predicted: Response) -> float:
    """Energy distance of the two sets of cells, 0 only where they are the same.

    The V-statistic and not the U-statistic, because predicted cells need not be independent draws: what the
    latter subtracts for the noise of few cells could be earned by cells that avoid each other. The price is
    that few cells score worse than many of the same distribution.
    """
    *squared, (within_real, _) = _distances(real, predicted)
    between, within_predicted = (float(np.sqrt(block).mean()) for block in squared)
    return max(2 * between - within_real - within_predicted, 0.0)


@metric(
    _spec(
        "mmd",
        "squared maximum mean discrepancy, r - 2 c + p - (1 - q) / max(n_predicted, n_real), or 0 where that "
        "is less; r, q, c = mean kernel of two different real cells, two different predicted ones, one of "
        "each; p = that of all pairs of predicted cells, each with itself too; kernel = mean over s = 1/4, "
        "1/2, 1, 2, 4 of exp(-|x - y|^2 / (s m)), m = 2 * sum of the variances of the control cells, which "
        "is the mean squared distance of two of them; for n_predicted >= n_real the unbiased estimate of "
        f"Gretton et al. (JMLR 2012, equation 3; {CELLS})",
        greatest=2.0,
        reference="none; the real control cells give the width of the kernel",
        nan_means="the control cells vary in no gene; an estimate below 0 scores 0",
    )
)
def mmd(real: Response, predicted: Response) -> float:
    """Squared MMD without the noise of few real cells, and of as few predicted ones.

    Without the limit two predicted cells on opposite sides of the real mean would score 0: two different
    cells of theirs are farther apart than chance, and the estimate takes that for a wide distribution.
    """
    width = 2 * real.reference.control.variance.sum()
    if width == 0:
        return float("nan")
    *squared, (_, within_real) = _distances(real, predicted)
    n_predicted, n_real = squared[0].shape
    between, within_predicted = (_mean_kernel(block, width) for block in squared)
    noise = (1 - _of_different(within_predicted, n_predicted)) / max(n_predicted, n_real)
    return max(_of_different(float(within_real), n_real) - 2 * between + within_predicted - noise, 0.0)


@metric(
    _spec(
        "wasserstein",
        "mean over genes of the Wasserstein-1 distance of predicted and real values, which is the integral "
        "of |difference of their quantile functions|; scipy.stats.wasserstein_distance gene by gene",
    )
)
def wasserstein(real: Response, predicted: Response) -> float:
    """Mean over genes of the distance of the marginal distributions; it sees no dependence between genes.

    The quantile functions of n and m cells jump at the same levels in every gene, so that all genes share
    one set of indices and widths. SciPy's function, called gene by gene, sorts the sorted values again and
    takes more than ten times as long (128 predicted against 300 real cells, 5,000 genes).
    """
    n, m = real.n_cells, predicted.n_cells
    levels = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)  # in units of 1 / (n m): exact
    of_real, of_predicted = (levels - 1) // m, (levels - 1) // n
    widths = np.diff(levels, prepend=0) / (n * m)
    distance = np.empty(len(real.mean))
    for genes in chunks_of_genes(len(distance)):
        quantiles = real.ascending[genes].take(of_real, axis=1).astype(np.float64)
        quantiles -= predicted.ascending[genes].take(of_predicted, axis=1)
        distance[genes] = np.abs(quantiles, out=quantiles) @ widths
    return float(distance.mean())


@metric(
    _spec(
        "variance_ratio",
        "sum over genes of the variance of predicted cells / that of real cells; below 1 the predicted cells "
        "are too alike",
        nan_means=STILL,
        higher_is_better=None,
    )
)
def variance_ratio(real: Response, predicted: Response) -> float:
    """How widely predicted cells spread in all, for each unit that real ones do."""
    spread = real.variance.sum()
    return float(predicted.variance.sum() / spread) if spread > 0 else float("nan")


@metric(
    _spec(
        "variance_error",
        "|v_predicted - v_real| / (v_predicted + v_real), v = sum over genes of the variance of the cells; "
        "this is tanh(|log variance_ratio| / 2), finite where the predicted cells do not vary",
        greatest=1.0,
        nan_means=STILL,
    )
)
def variance_error(real: Response, predicted: Response) -> float:
    """Distance of the variance ratio from 1, the same for twice and for half; 1 for equal predicted cells."""
    spreads = real.variance.sum(), predicted.variance.sum()
    return float(abs(spreads[1] - spreads[0]) / sum(spreads)) if spreads[0] > 0 else float("nan")


@once_per_pair
def _distances(real: Response, predicted: Response) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Squared Euclidean distances of all cells: predicted x real, predicted x predicted.

    And of real cells, which are kept, their mean distance and mean kernel, (2,); that one NaN where no
    control varies.
    """
    truth, guess = _centred(real), _centred(predicted)
    of_truth, own = _lengths(truth), _lengths(guess)

    def within_real() -> np.ndarray:
        squared = _squared(of_truth, truth @ truth.T, of_truth)
        width = 2 * real.reference.control.variance.sum()
        kernel = _mean_kernel(squared, width) if width > 0 else np.nan
        return np.array([np.sqrt(squared).mean(), kernel])

    return (
        _squared(own, guess @ truth.T, of_truth),
        _squared(own, guess @ guess.T, own),
        real.kept.get("within", within_real),
    )


def _centred(side: Response) -> np.ndarray:
    """The cells, or some of them, centred on the control mean, so that less is lost in a product."""
    cells = evenly(side.cells, MOST_CELLS).astype(np.float64)
    cells -= side.reference.control.mean  # NumPy takes ten times as long to subtract numbers of two kinds
    return cells


def _lengths(cells: np.ndarray) -> np.ndarray:
    return np.einsum("cg,cg->c", cells, cells)


def _squared(first: np.ndarray, products: np.ndarray, second: np.ndarray) -> np.ndarray:
    """|x|^2 + |y|^2 - 2 xy, of squared lengths and products; 0 where that is rounding."""
    both = first[:, None] + second
    squared = both - 2 * products
    squared[squared < ROUNDING * both] = 0.0
    return squared


def _mean_kernel(squared: np.ndarray, width: float) -> float:
    """Mean over all entries and all five bandwidths; halving the bandwidth squares the kernel."""
    kernel = np.exp(squared / (-4 * width))
    total = kernel.mean()
    for _ in range(4):
        kernel *= kernel
        total += kernel.mean()
    return float(total / 5)


def _of_different(mean_kernel: float, n: int) -> float:
    """Mean kernel of two different cells, from that of all pairs, in which each meets itself with 1."""
    return (n * mean_kernel - 1) / (n - 1)
