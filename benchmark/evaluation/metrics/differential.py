"""Differential expression of the cells of one perturbation against the control cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics.kept import Kept, kept_of_real
from benchmark.evaluation.metrics.ordered import false_discovery_rates
from benchmark.evaluation.metrics.rank_sum import rank_sum_p_values
from benchmark.evaluation.metrics.reference import Reference
from benchmark.evaluation.metrics.response import RESOLUTION, Response
from benchmark.evaluation.metrics.sorted_cells import Matrix, SortedCells

PSEUDOCOUNT = 1e-9  # pdex's default: makes fold changes from or to zero finite and changes no other order


def differential_expression(
    reference: Reference,
    label: str,
    cells: Matrix,
    name: str = "The cells",
    control: SortedCells | None = None,
    truth: Path | None = None,
) -> Response:
    """Compare the cells of one perturbation with the control cells, gene by gene.

    The test is the Wilcoxon rank-sum test with the normal approximation, corrected for ties and continuity,
    then Benjamini and Hochberg (1995) over the genes of this perturbation, as cell-eval does through pdex.
    The fold change is log2((m + 1e-9) / (c + 1e-9)) with m and c the mean counts per 10,000 of `cells` and
    of the control cells. A gene with m = c = 0 has the fold change 0; a gene that is expressed on one side
    only has a finite one of about +-30, before all others and ordered by the mean of that side. (cell-eval
    0.8 ratios geometric means, expm1 of the mean log value, by default, and its one-sided genes are infinite
    and tied.)

    Parameters
    ----------
    reference
        What the response is measured against.
    label
        The perturbation.
    cells
        (cells, genes), log1p of counts per 10,000, dense or sparse.
    name
        What the cells are called in an error.
    control
        The control cells of this side; those of the real one unless said.
    truth
        Of the real side: the folder in which what is worked out of it is kept (`Kept`).

    Raises
    ------
    BenchmarkError
        When the gene counts differ, or as `SortedCells.of` does.
    """
    control, n_genes = control or reference.control, len(reference.genes)
    if cells.ndim == 2 and cells.shape[1] != n_genes:
        raise BenchmarkError(
            f"{name} have {cells.shape[1]} genes, but the control cells have {n_genes}; "
            "give both the same genes in the same order."
        )
    dense = np.asarray(cells if isinstance(cells, np.ndarray) else cells.toarray(), dtype=np.float32)
    perturbed = SortedCells.of(dense, name)
    kept = Kept() if truth is None else kept_of_real(truth, reference, label, dense, perturbed)
    p_value = kept.get("p_value", lambda: rank_sum_p_values(control.values, perturbed.values, control.ties))
    return Response(
        label=label,
        reference=reference,
        control=control,
        cells=dense,
        ascending=perturbed.values,
        mean=perturbed.mean,
        variance=perturbed.variance,
        change=_change(perturbed.mean, control),
        log2_fold_change=np.log2((perturbed.count_mean + PSEUDOCOUNT) / (control.count_mean + PSEUDOCOUNT)),
        p_value=p_value,
        fdr=false_discovery_rates(p_value),
        kept=kept,
    )


def response_of_mean(reference: Reference, label: str, mean: np.ndarray) -> Response:
    """Make the predicted response of which nothing but the mean is known: for metrics that read no more.

    Parameters
    ----------
    reference
        What the response is measured against.
    label
        The perturbation.
    mean
        float64, (genes,): log1p of counts per 10,000.
    """
    control, nothing = reference.given, np.zeros(len(mean))
    cells = mean[None].astype(np.float32)
    return Response(
        label=label,
        reference=reference,
        control=control,
        cells=cells,
        ascending=cells.T,
        mean=mean,
        variance=nothing,
        change=_change(mean, control),
        log2_fold_change=nothing,
        p_value=np.ones(len(mean)),
        fdr=np.ones(len(mean)),
    )


def _change(mean: np.ndarray, control: SortedCells) -> np.ndarray:
    change = mean - control.mean
    change[np.abs(change) < RESOLUTION] = 0.0
    return change
