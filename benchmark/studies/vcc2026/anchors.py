"""The two ends of the scale, from real cells alone: the mean response, and a replicate."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from benchmark.counted import dense
from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics.sorted_cells import Matrix
from benchmark.evaluation.metrics.verdicts import FEWEST_GENES
from benchmark.means import MovableCells
from benchmark.perturbation import CONTROL
from benchmark.studies.vcc2026.suite import SIX, Context, log_fold_changes, means, measure

HALVINGS = 5
NMAE = "de_wilcoxon_lfc_nmae"


def baseline(context: Context, seed: int = 0) -> dict[str, float]:
    """Score the mean response of all perturbations, handed in for each.

    As cell-eval2 does it: the mean over perturbations of their mean cell, without each in the gene that it
    targets; control cells are drawn with replacement, as many as there are real ones, and each gene is scaled
    by the mean response over the mean of the control cells. Of log values control cells are moved until they
    have that mean, which keeps them spread as cells are (`benchmark.means`); cell-eval2 hands in the mean
    itself there, which has no spread, and calls that known to be biased.

    Parameters
    ----------
    context
        The real cells.
    seed
        Of the draws.

    Returns
    -------
    dict
        Each of `SIX` -> mean over perturbations.
    """
    profile = mean_response(context)
    rng = np.random.default_rng(seed)
    control = dense(context.control).astype(np.float64)
    if context.holds == "log1p":
        moved = MovableCells(control).to(profile).astype(np.float32)
        return means(measure(context, dict.fromkeys(context.labels, moved)))
    usual = control.mean(axis=0)
    scale = np.divide(profile, usual, out=np.zeros_like(profile), where=usual > 0)
    predicted = {}
    for label in sorted(context.labels):
        drawn = control[rng.integers(0, len(control), size=context.real[label].shape[0])]
        predicted[label] = (drawn * scale).astype(np.float32)
    return means(measure(context, predicted, whole=False))


def mean_response(context: Context) -> np.ndarray:
    """Mean over perturbations of their mean cell, each left out in the genes that it targets: (genes,)."""
    reference = context.reference()
    total, count = np.zeros((2, len(context.genes)))
    for label in context.labels:
        counts = np.ones(len(context.genes))
        counts[reference.targets([label])] = 0
        total += counts * dense(context.real[label]).mean(axis=0, dtype=np.float64)
        count += counts
    if not count.all():
        raise BenchmarkError(
            "The mean response leaves out each perturbation in its target, and a gene is the target of "
            "all of them; score more perturbations."
        )
    return total / count


def replicate(context: Context, seed: int = 0, halvings: int = HALVINGS) -> list[dict[str, float]]:
    """Score one half of the real cells as a prediction of the other, each with its half of the control cells.

    The fold changes of the halves are compared over the genes that all real cells call, and relative to
    theirs, so that the anchor is over the genes of what it is an anchor of.

    Parameters
    ----------
    context
        The real cells, two at least of each kind.
    seed
        Of the seeds of the halvings.
    halvings
        How many.

    Returns
    -------
    list of dict
        Each of `SIX` -> mean over perturbations, for each halving.
    """
    seeds = np.random.SeedSequence(seed).generate_state(halvings)
    whole = log_fold_changes(context, context.reference(), context.real, given=False)
    return [_halved(context, int(each), whole) for each in seeds]


def _halved(
    context: Context, seed: int, whole: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> dict[str, float]:
    one, other = halves({**context.real, CONTROL: context.control}, seed)
    reference = context.reference(one.pop(CONTROL), other.pop(CONTROL))
    found = means(measure(context, other, real=one, reference=reference))
    first = log_fold_changes(context, reference, one, given=False)
    second = log_fold_changes(context, reference, other, given=True)
    shares = []
    for label, (changes, called) in whole.items():
        unit = np.abs(changes[called]).sum()
        if called.sum() >= FEWEST_GENES and unit > 0:
            shares.append(np.abs(first[label][0] - second[label][0])[called].sum() / unit)
    return {**found, NMAE: float(np.mean(shares)) if shares else float("nan")}


def halves(cells: Mapping[str, Matrix], seed: int) -> tuple[dict[str, Matrix], dict[str, Matrix]]:
    """Divide the cells of each label into two halves by chance, in the order of the labels."""
    rng = np.random.default_rng(seed)
    one, other = {}, {}
    for label in sorted(cells):
        order = rng.permutation(cells[label].shape[0])
        half = len(order) // 2
        if half < 2:
            raise BenchmarkError(
                f"'{label}' has {len(order)} cells, too few to halve them for the replicate; four are needed."
            )
        one[label], other[label] = cells[label][order[:half]], cells[label][order[half : 2 * half]]
    return one, other


def mean_of(found: list[dict[str, float]]) -> dict[str, float]:
    """Mean of each metric over the halvings."""
    return {name: float(np.mean([each[name] for each in found])) for name in SIX}
