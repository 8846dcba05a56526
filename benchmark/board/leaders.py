"""Which row is best at what, and which others cannot be told from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmark.board.intervals import plain_means
from benchmark.board.neighbours import correct, paired
from benchmark.board.ranks import Member
from benchmark.board.rows import HEADLINE, Comparison


def compare_with_best(ranked: Sequence[Member]) -> None:
    """Find the best row in each headline metric and write into the others how far they are behind it.

    The best has the best mean over the seeds that all ranked rows have; of equal ones it is the first. The
    comparisons are over the same seeds, otherwise as in `benchmark.board.neighbours.compare_neighbours`, and
    corrected over all of them (Holm 1979). That the best is picked by the same perturbations favours it a
    little.
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
                comparisons = paired(ranked[leader], member, seeds, metrics)
                member.row.behind_best |= dict(zip(names, comparisons, strict=True))
                found += comparisons
    correct(found)


def _best(ranked: Sequence[Member], seeds: Sequence[int]) -> list[int | None]:
    """Place of the best row in each headline metric; None where it is undefined for all."""
    means = np.stack([plain_means(member.headline(seeds)) for member in ranked])
    means = np.where(np.isnan(means), -np.inf, means)
    return [
        int(place) if np.isfinite(means[place, metric]) else None
        for metric, place in enumerate(means.argmax(axis=0))
    ]
