"""Mean changes of expression per perturbation, which the simple baselines learn from."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from benchmark.contexts import CONTEXT, values_in_view
from benchmark.errors import BenchmarkError
from benchmark.perturbation import CONTROL, Perturbation

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True)
class Changes:
    """Mean change from control of each perturbation, (perturbations, genes), log1p CP10K."""

    perturbations: tuple[Perturbation, ...]
    values: np.ndarray
    control_mean: np.ndarray
    """Mean expression of the control cells, (genes,); of several contexts the mean over them."""
    controls: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Context -> mean expression of its control cells; empty where changes are of a part of the data."""
    within: Mapping[str, Changes] = field(default_factory=dict)
    """Context -> changes in it, where these are of several contexts; else empty."""

    @property
    def genes(self) -> list[str]:
        """The genes that are perturbed, in alphabetical order."""
        return sorted({gene for perturbation in self.perturbations for gene in perturbation.genes})

    def of_singles(self) -> tuple[list[str], np.ndarray]:
        """The genes that are perturbed alone, and what each does: (singles, genes)."""
        rows = [row for row, p in enumerate(self.perturbations) if not p.is_double]
        return [self.perturbations[row].genes[0] for row in rows], self.values[rows]

    def mean(self) -> np.ndarray:
        """The mean over perturbations, each counted once."""
        return self.values.mean(axis=0)


def mean_expression(adata: AnnData) -> dict[str, np.ndarray]:
    """Mean over the cells of each label, in float64."""
    from scipy import sparse

    from benchmark.data.blocks import row_blocks

    labels = adata.obs["perturbation"].to_numpy().astype(str)
    names, codes = np.unique(labels, return_inverse=True)
    sums = np.zeros(len(names) * adata.n_vars)
    for part in row_blocks(adata.shape):
        # One cell after the other, so that no sum depends on where blocks begin.
        cells = sparse.csr_matrix(adata.X[part])
        places = np.repeat(codes[part] * adata.n_vars, np.diff(cells.indptr)) + cells.indices
        np.add.at(sums, places, cells.data.astype(np.float64))
    means = sums.reshape(len(names), -1) / np.bincount(codes)[:, None]
    return dict(zip(names.tolist(), means, strict=True))


def mean_changes(train: AnnData, *others: AnnData) -> Changes:
    """Mean changes from the controls in `train` of every perturbation in all the given cells.

    Where there are several contexts, each change is from the controls of its own, and a perturbation that was
    measured in several has the mean of its changes there.
    """
    found = changes_by_context(train, *others)
    if len(found) == 1:
        return next(iter(found.values()))
    values: dict[Perturbation, list[np.ndarray]] = {}
    for changes in found.values():
        for perturbation, value in zip(changes.perturbations, changes.values, strict=True):
            values.setdefault(perturbation, []).append(value)
    controls = {context: changes.control_mean for context, changes in found.items()}
    perturbations = tuple(Perturbation(genes) for genes in sorted(each.genes for each in values))
    return Changes(
        perturbations,
        np.stack([np.mean(values[each], axis=0) for each in perturbations]),
        np.mean(list(controls.values()), axis=0),
        controls,
        found,
    )


def changes_by_context(train: AnnData, *others: AnnData) -> dict[str, Changes]:
    """Mean changes from the controls of the same context of every perturbation in it, by context.

    Of a context that shows its control cells alone there are no changes.

    Raises
    ------
    BenchmarkError
        Where a context has no control cells in `train`, or nothing is perturbed in any.
    """
    contexts = sorted(set(map(str, values_in_view(train.obs, CONTEXT))))
    found = {
        context: _changes(*(_within(cells, context) for cells in (train, *others))) for context in contexts
    }
    if not any(changes.perturbations for changes in found.values()):
        raise BenchmarkError("The training cells hold no perturbed cells; nothing can be learned from them.")
    return found


def changes_of_conditions(train: AnnData, *others: AnnData) -> Changes:
    """Mean changes of each condition by itself, in the order of their labels.

    They are those of `mean_changes`, but that a perturbation which was measured in several contexts is there
    several times, with its context.
    """
    found = changes_by_context(train, *others)
    if len(found) == 1:
        return next(iter(found.values()))
    rows = [
        (Perturbation(perturbation.genes, context), value)
        for context, changes in found.items()
        for perturbation, value in zip(changes.perturbations, changes.values, strict=True)
    ]
    rows.sort(key=lambda row: row[0].label)
    controls = {context: changes.control_mean for context, changes in found.items()}
    return Changes(
        tuple(perturbation for perturbation, _ in rows),
        np.stack([value for _, value in rows]),
        np.mean(list(controls.values()), axis=0),
        controls,
        found,
    )


def held_out_changes(train: AnnData, validation: AnnData) -> Changes | None:
    """Mean changes of the validation cells alone, from the controls in `train`; None where there are none.

    Training may have the same perturbation in another context.
    """
    if not validation.n_obs:
        return None
    return mean_changes(train[(train.obs["perturbation"] == CONTROL).to_numpy()], validation)


def control_means(train: AnnData) -> dict[str, np.ndarray]:
    """Mean expression of the control cells of each context, (genes,)."""
    contexts = sorted(set(map(str, values_in_view(train.obs, CONTEXT))))
    return {context: mean_expression(_within(train, context))[CONTROL] for context in contexts}


def alike(here: np.ndarray, others: Sequence[np.ndarray]) -> np.ndarray:
    """How alike control cells of other contexts are to those of one: 1 over the squared distance of means.

    Parameters
    ----------
    here, others
        Mean expression of control cells, (genes,) each.

    Returns
    -------
    numpy.ndarray
        (others,), the largest is 1.
    """
    apart = [np.sum((other - here) ** 2) for other in others]
    weights = 1 / np.maximum(apart, np.finfo(float).tiny)
    return weights / weights.max()


def _within(cells: AnnData, context: str) -> AnnData:
    """The cells of one context: the same object where that is all."""
    rows = values_in_view(cells.obs, CONTEXT).astype(str) == context
    return cells if rows.all() else cells[rows].copy()


def _changes(train: AnnData, *others: AnnData) -> Changes:
    means = mean_expression(train)
    if CONTROL not in means:
        raise BenchmarkError("The training cells hold no control cells; keep them in the training part.")
    control = means.pop(CONTROL)
    for other in others:
        if other.n_obs:
            means.update(mean_expression(other))
    labels = sorted(means)
    return Changes(
        tuple(Perturbation.parse(label) for label in labels),
        np.stack([means[label] - control for label in labels]) if labels else np.empty((0, len(control))),
        control,
        {str(values_in_view(train.obs, CONTEXT)[0]): control},
    )


def reason_if_none(perturbation: Perturbation, known: Collection[str], what: str) -> str | None:
    """Say that none of the perturbed genes is among those of which something is known; None where one is.

    Parameters
    ----------
    perturbation
        What is asked.
    known
        Genes of which the method knows something.
    what
        What is true of those, as the end of a sentence.
    """
    if not perturbation.genes or set(perturbation.genes).intersection(known):
        return None
    return f"none of its genes {what}"


def perturbed_gene_indicators(perturbations: tuple[Perturbation, ...], genes: list[str]) -> np.ndarray:
    """Ones where a perturbation (row) perturbs a gene (column); genes not named have no column."""
    column = {gene: index for index, gene in enumerate(genes)}
    indicators = np.zeros((len(perturbations), len(genes)))
    for row, perturbation in enumerate(perturbations):
        for gene in perturbation.genes:
            if gene in column:
                indicators[row, column[gene]] = 1.0
    return indicators
