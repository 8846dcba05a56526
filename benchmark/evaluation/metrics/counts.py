"""Responses of counts: what cell-eval2 makes of two sides that hold raw counts.

The pseudobulk of a group is of the sum of its counts, so that deep cells weigh more, and not the mean of
normalised cells. Genes are tested on counts per million over the genes of the panel; one that hardly any
control cell expresses is not tested at all, on either side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmark.counted import dense
from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics.differential import PSEUDOCOUNT
from benchmark.evaluation.metrics.ordered import false_discovery_rates
from benchmark.evaluation.metrics.rank_sum import rank_sum_p_values
from benchmark.evaluation.metrics.reference import Reference
from benchmark.evaluation.metrics.response import RESOLUTION, Response
from benchmark.evaluation.metrics.sorted_cells import Matrix, SortedCells

BULK_DEPTH = 5e4
"""What the counts of a group are scaled to before ln(1 + x)."""

CELL_DEPTH = 1e6
LEAST_EXPRESSED = 5.0
"""A gene with at most so many counts per million in the control cells, on average, is not tested."""

MOST_COUNTS = 1e6
"""A cell of more is none."""

CELLS_PER_CHUNK = 128


@dataclass(frozen=True, eq=False)
class CountedCells(SortedCells):
    """Cells of one condition as counts: `values` are counts per million, `mean` is that of the pseudobulk.

    Attributes
    ----------
    jackknife
        What the sampling of cells adds to a squared distance from `mean`, summed over genes.
    """

    jackknife: float

    @property
    def noise(self) -> float:
        """The jackknife."""
        return self.jackknife

    @classmethod
    def of(cls, cells: Matrix, name: str = "The cells") -> CountedCells:
        """Summarise counts.

        Parameters
        ----------
        cells
            (cells, genes), whole numbers, dense or sparse.
        name
            What the cells are called in an error.

        Raises
        ------
        BenchmarkError
            For fewer than 2 cells, and for what is no count.
        """
        return _counted(cells, name)[0]


@dataclass(frozen=True, eq=False)
class Counts:
    """The counts of both sides, where both hold them.

    Attributes
    ----------
    reference
        `Reference` of `count_reference`.
    real, predicted
        Label -> counts, (cells, genes), of every perturbation.
    """

    reference: Reference
    real: Mapping[str, Matrix]
    predicted: Mapping[str, Matrix]

    def sides(self, label: str) -> tuple[Response, Response]:
        """Return the real and the predicted response to a perturbation."""
        real = count_response(self.reference, label, self.real[label], f"The real cells of '{label}'")
        name = f"The predicted cells of '{label}'"
        return real, count_response(self.reference, label, self.predicted[label], name, self.reference.given)


def count_reference(control: Matrix, genes: tuple[str, ...], given: Matrix | None = None) -> Reference:
    """Summarise the counts of the control cells.

    Parameters
    ----------
    control
        Those that real changes are measured against.
    genes
        Their gene symbols.
    given
        Those that methods know, where they are others.
    """
    of_real = CountedCells.of(control, "The control cells")
    of_given = of_real if given is None else CountedCells.of(given, "The control cells of methods")
    return Reference(genes=genes, control=of_real, given=of_given, centroid=None, singles={})


def count_response(
    reference: Reference,
    label: str,
    counts: Matrix,
    name: str = "The cells",
    control: SortedCells | None = None,
    whole: bool = True,
) -> Response:
    """Compare the counts of one perturbation with those of the control cells.

    ``mean`` is ln(1 + 5e4 P / S), P the counts of a gene and S those of all genes over the group;
    ``p_value`` is that of the rank-sum test of counts per million of each cell;
    ``log2_fold_change`` that of their arithmetic means + 1e-9; genes with at most 5 of them in the control
    cells of this side are not tested.

    Parameters
    ----------
    reference
        Of `count_reference`.
    label
        The perturbation.
    counts
        (cells, genes), whole numbers.
    name
        What the cells are called in an error.
    control
        The control cells of this side; those of the real one unless said.
    whole
        Whether counts must be whole numbers; those of an anchor are not.
    """
    control = control or reference.control
    if counts.ndim == 2 and counts.shape[1] != len(reference.genes):
        raise BenchmarkError(
            f"{name} have {counts.shape[1]} genes, but the control cells have {len(reference.genes)}; "
            "give both the same genes in the same order."
        )
    found, cells = _counted(counts, name, whole)
    tested = control.count_mean > LEAST_EXPRESSED
    p_value, fdr = np.ones((2, len(tested)))
    p_value[tested] = rank_sum_p_values(control.values[tested], found.values[tested])
    if tested.any():
        fdr[tested] = false_discovery_rates(p_value[tested])
    change = found.mean - control.mean
    change[np.abs(change) < RESOLUTION] = 0.0
    return Response(
        label=label,
        reference=reference,
        control=control,
        cells=cells,
        ascending=found.values,
        mean=found.mean,
        variance=found.variance,
        change=change,
        log2_fold_change=np.log2((found.count_mean + PSEUDOCOUNT) / (control.count_mean + PSEUDOCOUNT)),
        p_value=p_value,
        fdr=fdr,
        is_tested=tested,
        jackknife=found.jackknife,
    )


def require_counts(counts: np.ndarray, name: str, whole: bool = True) -> None:
    """Refuse what is no matrix of counts of cells: float64, (cells, genes).

    Raises
    ------
    BenchmarkError
        For values that are no whole numbers of 0 or more, and for cells with no or too many counts.
    """
    if not np.isfinite(counts).all() or counts.min() < 0:
        raise BenchmarkError(
            f"{name} hold NaN, infinite or negative values, but counts are whole numbers of 0 or more; "
            "correct them."
        )
    broken = counts != np.round(counts)
    if whole and broken.any():
        raise BenchmarkError(
            f"{name} hold {int(broken.sum())} values that are not whole numbers, such as "
            f"{counts[broken][0]:.4g}, but counts are declared; draw whole counts, or hand in log1p of "
            "counts per 10,000."
        )
    depth = counts.sum(axis=1)
    if depth.max() > MOST_COUNTS:
        raise BenchmarkError(
            f"{name} hold a cell of {depth.max():,.0f} counts, but no cell has more than {MOST_COUNTS:,.0f}; "
            "scale the prediction to the depth of real cells."
        )
    if depth.min() == 0:
        raise BenchmarkError(
            f"{name} hold {int((depth == 0).sum())} cells without a count; leave those cells out."
        )


def _counted(cells: Matrix, name: str, whole: bool = True) -> tuple[CountedCells, np.ndarray]:
    """Summarise counts; also the counts per million, float32 (cells, genes)."""
    if cells.ndim != 2 or cells.shape[0] < 2 or cells.shape[1] < 1:
        raise BenchmarkError(
            f"{name} have the shape {tuple(cells.shape)}, but at least 2 cells by 1 gene are needed; "
            "leave the perturbation out or give it more cells."
        )
    counts = np.asarray(dense(cells), dtype=np.float64)
    require_counts(counts, name, whole)
    per_million = counts / (counts.sum(axis=1, keepdims=True) / CELL_DEPTH)
    values = per_million.astype(np.float32)
    ascending = np.sort(values.T, axis=1)
    sums = counts.sum(axis=0)
    found = CountedCells(
        values=np.ascontiguousarray(ascending),
        mean=np.log1p(BULK_DEPTH * sums / sums.sum()),
        variance=per_million.var(axis=0, ddof=1),
        count_mean=per_million.mean(axis=0),
        jackknife=_jackknife(counts),
    )
    return found, values


def _jackknife(counts: np.ndarray) -> float:
    """Variance of the pseudobulk, summed over genes, by leaving out each cell (Quenouille 1956)."""
    n, sums = len(counts), counts.sum(axis=0)
    whole = np.log1p(BULK_DEPTH * sums / sums.sum())
    first, second = np.zeros((2, len(sums)))
    for start in range(0, n, CELLS_PER_CHUNK):
        without = sums - counts[start : start + CELLS_PER_CHUNK]
        without /= without.sum(axis=1, keepdims=True) / BULK_DEPTH
        moved = np.log1p(without, out=without) - whole
        first += moved.sum(axis=0)
        second += (moved * moved).sum(axis=0)
    return float(max((n - 1) / n * (second - first**2 / n).sum(), 0.0))
