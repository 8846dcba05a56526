"""Is a row really better than another? Paired tests against the next lower row, the best, any other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from benchmark.board.intervals import (
    FEWEST,
    fewest_in_a_context,
    mean_and_bounds,
    mean_over_seeds,
    plain_means,
)
from benchmark.board.ranks import Member
from benchmark.board.rows import HEADLINE, Comparison
from benchmark.errors import BenchmarkError
from benchmark.evaluation.statistics import holm, signed_rank
from benchmark.evaluation.trainings import two_sided, widened


def compare_neighbours(ranked: Sequence[Member]) -> None:
    """Compare each ranked row with the next lower one and write the comparisons into the upper row.

    Differences are paired by perturbation and seed, in the seeds that both rows have, and averaged within a
    perturbation over them: the same real cells in several seeds are no new evidence. Each headline metric
    gets the mean difference with its bootstrap interval and Wilcoxon's signed-rank test (zeros as in Pratt
    1959), corrected over all tests of the block (Holm 1979). With three seeds or more both allow for other
    trainings (`benchmark.evaluation.trainings`), so that a lead which those can explain is not a clear one.
    """
    _write(pairwise(ranked))


def compare_with(name: str, members: Sequence[Member]) -> None:
    """Compare each row with one that is named, as `compare_neighbours` does with the next lower one.

    Parameters
    ----------
    name
        Of a row as the board calls it, or of a method where that has one row; where there is none, nothing is
        compared.
    members
        Finished rows, ranked or not; those that share no seed with the named one are left out.

    Raises
    ------
    BenchmarkError
        Where the method has several rows.
    """
    called = [each for each in members if each.row.label == name]
    called = called or [each for each in members if each.row.method == name]
    if len(called) > 1:
        raise BenchmarkError(
            f"'{name}' has {len(called)} rows; name one as the board does: "
            + ", ".join(f"'{each.row.label}'" for each in called)
            + "."
        )
    for named in called:
        others = [each for each in members if each is not named]
        _write((each, named) for each in others if set(each.table.seeds) & set(named.table.seeds))


def _write(pairs: Iterable[tuple[Member, Member]]) -> None:
    """Compare the rows of each pair and write what is found into the first of them."""
    found: list[Comparison] = []
    for member, other in pairs:
        row = member.row
        row.next_row = other.row.label
        row.next_seeds = sorted(set(member.table.seeds) & set(other.table.seeds))
        row.against_next = dict(zip(HEADLINE, _paired(member, other, row.next_seeds), strict=True))
        found += row.against_next.values()
    _correct(found)


def compare_with_best(ranked: Sequence[Member]) -> None:
    """Find the best row in each headline metric and write into the others how far they are behind it.

    The best has the best mean over the seeds that all ranked rows have; of equal ones it is the first. The
    comparisons are over the same seeds, otherwise as in `compare_neighbours`, and corrected over all of them
    (Holm 1979). That the best is picked by the same perturbations favours it a little.
    """
    if not ranked:
        return
    found: list[Comparison] = []
    seeds = sorted(set.intersection(*(set(member.table.seeds) for member in ranked)))
    best = _best(ranked, seeds)
    for leader in {index for index in best if index is not None}:
        metrics = [place for place, index in enumerate(best) if index == leader]
        names = [HEADLINE[place] for place in metrics]
        ranked[leader].row.best_in = names
        for index, member in enumerate(ranked):
            if index != leader:
                comparisons = _paired(ranked[leader], member, seeds, metrics)
                member.row.behind_best |= dict(zip(names, comparisons, strict=True))
                found += comparisons
    _correct(found)


def _best(ranked: Sequence[Member], seeds: Sequence[int]) -> list[int | None]:
    """Place of the best row in each headline metric; None where it is undefined for all."""
    means = np.stack([plain_means(member.headline(seeds), member.table.contexts) for member in ranked])
    means = np.where(np.isnan(means), -np.inf, means)
    return [
        int(place) if np.isfinite(means[place, metric]) else None
        for metric, place in enumerate(means.argmax(axis=0))
    ]


def _paired(
    upper: Member, lower: Member, seeds: Sequence[int], metrics: Sequence[int] = range(len(HEADLINE))
) -> list[Comparison]:
    """Compare two rows in some headline metrics, given by their place, over seeds that both have."""
    differences = upper.headline(seeds) - lower.headline(seeds)
    return _compare(differences[..., list(metrics)], upper.table.contexts)


def _correct(comparisons: Sequence[Comparison]) -> None:
    """Write the p-values after Holm's correction over all of these."""
    corrected = holm([np.nan if each.p is None else each.p for each in comparisons])
    for each, value in zip(comparisons, corrected, strict=True):
        each.corrected = None if each.p is None else value


def _compare(per_seed: np.ndarray, contexts: np.ndarray) -> list[Comparison]:
    """One comparison per metric of (seeds, perturbations, metrics), and the context of each perturbation."""
    differences = mean_over_seeds(per_seed)
    defined = ~np.isnan(differences)
    own = defined.any(axis=1)
    if not own.any():
        return [Comparison() for _ in range(differences.shape[1])]
    means, low, high = mean_and_bounds(differences[None, own], contexts[own])
    p = _p_values(differences[own])
    over_trainings = widened(means, low, high, per_seed)
    low, high = over_trainings.low, over_trainings.high
    p = np.fmax(p, two_sided(means, over_trainings))
    enough = fewest_in_a_context(defined, contexts) >= FEWEST
    compared: list[Comparison] = []
    for index, n in enumerate(defined.sum(axis=0)):
        each = Comparison(n=int(n))
        if n:
            each.mean = float(means[index])
        if enough[index]:
            each.low, each.high = float(low[index]), float(high[index])
            each.p = float(p[index])
        compared.append(each)
    return compared


def _p_values(differences: np.ndarray) -> np.ndarray:
    """Signed-rank test of each column of (perturbations, metrics), over the perturbations that it has."""
    defined = ~np.isnan(differences)
    whole = defined.all(axis=0)
    p = np.empty(differences.shape[1])
    p[whole] = signed_rank(differences[:, whole])
    for column in np.flatnonzero(~whole):
        p[column] = signed_rank(differences[defined[:, column], column])
    return p
