"""Mean ranks over the headline metrics, with intervals from the same resamples as everything else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmark.board.intervals import ScoreTable, board_draws, plain_means
from benchmark.board.rows import HEADLINE, Row
from benchmark.metrics import METRICS
from benchmark.statistics import middle, weighted_means


@dataclass(frozen=True)
class Member:
    """A row with the scores behind it.

    Attributes
    ----------
    row
        As the board shows it.
    table
        Its scores; the first metrics are the headline ones.
    versions
        For each seed of the table: metric -> version that it was scored with.
    """

    row: Row
    table: ScoreTable
    versions: tuple[Mapping[str, str], ...]

    def headline(self, seeds: Sequence[int]) -> np.ndarray:
        """Headline scores, turned so that larger is better: (seeds, perturbations, metrics)."""
        return self.table.of_seeds(seeds)[..., : len(HEADLINE)] * signs(HEADLINE)


def signs(names: Sequence[str]) -> np.ndarray:
    """1 for a metric of which more is better, else -1: (metrics,)."""
    return np.array([1.0 if METRICS[name].spec.higher_is_better else -1.0 for name in names])


def ranked(members: Sequence[Member]) -> list[Member]:
    """Sort by mean rank over the headline metrics; an undefined mean ranks last, ties share their rank.

    Ranks compare the seeds that all rows have, or all seeds of each where there is none. The interval of a
    mean rank is the middle 95 % of what it is in 1,000 resamples of the perturbations, each drawn for all
    rows alike.
    """
    if not members:
        return []
    shared = set.intersection(*(set(member.table.seeds) for member in members))
    values = [member.headline(sorted(shared or member.table.seeds)) for member in members]
    scored = np.any([~np.isnan(each).all(axis=(0, 2)) for each in values], axis=0)
    means = np.stack([plain_means(each)[None] for each in values])
    mean_ranks = _mean_ranks(means)[:, 0]
    weights = board_draws(int(scored.sum())) if scored.any() else np.ones((1, 0))
    resampled = np.stack([weighted_means(each[:, scored], weights) for each in values])
    low, high = middle(_mean_ranks(resampled).T)
    places = pd.Series(mean_ranks).rank(method="min")
    for index, member in enumerate(members):
        row = member.row
        row.rank, row.mean_rank = int(places[index]), round(float(mean_ranks[index]), 4)
        row.mean_rank_low, row.mean_rank_high = (round(float(end[index]), 4) for end in (low, high))
    return sorted(members, key=lambda member: (member.row.mean_rank, member.row.label))


def _mean_ranks(means: np.ndarray) -> np.ndarray:
    """Rank the rows of (rows, resamples, metrics) and average over metrics: (rows, resamples)."""
    losses = np.where(np.isnan(means), np.inf, -means)
    return pd.DataFrame(losses.reshape(len(means), -1)).rank().to_numpy().reshape(means.shape).mean(axis=2)
