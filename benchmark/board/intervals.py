"""Means over test perturbations and seeds, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import isnan

import numpy as np

from benchmark.board.rows import HEADLINE, Estimate
from benchmark.contexts import context_in
from benchmark.evaluation.statistics import Scores, SeedScores, draws, middle, weighted_means
from benchmark.evaluation.trainings import widened

RESAMPLES = 1000
FEWEST = 6
"""With fewer perturbations there are no intervals, which would be far too narrow, and no tests: the smallest
p-value of a signed-rank test of 5 is 2 / 2^5 = .0625."""


@dataclass(frozen=True)
class ScoreTable:
    """Scores as one array.

    Attributes
    ----------
    seeds, labels, names
        Of the axes: seeds, test perturbations, metrics.
    values
        float, (seeds, perturbations, metrics); NaN where undefined or absent.
    listed
        bool, the same shape: whether the perturbation was scored by the metric in that seed at all.
    """

    seeds: tuple[int, ...]
    labels: tuple[str, ...]
    names: tuple[str, ...]
    values: np.ndarray
    listed: np.ndarray

    @classmethod
    def of(cls, per_seed: SeedScores, names: Sequence[str], labels: Sequence[str]) -> ScoreTable:
        """Lay out the scores of some seeds over given metrics and perturbations."""
        position = {label: index for index, label in enumerate(labels)}
        shape = (len(per_seed), len(labels), len(names))
        values, listed = np.full(shape, np.nan), np.zeros(shape, dtype=bool)
        for seed, scores in enumerate(per_seed.values()):
            columns: dict[tuple[str, ...], list[int]] = {}  # as a rule metrics score the same perturbations
            for column, name in enumerate(names):
                if name in scores:
                    columns.setdefault(tuple(scores[name]), []).append(column)
            for scored, own in columns.items():
                place = np.ix_([position[label] for label in scored], own)
                values[seed][place] = np.array([list(scores[names[column]].values()) for column in own]).T
                listed[seed][place] = True
        return cls(tuple(per_seed), tuple(labels), tuple(names), values, listed)

    def keep(self, mask: np.ndarray, values: np.ndarray | None = None) -> ScoreTable:
        """Leave out everything where `mask` does not hold, and take other values where they are given."""
        given = self.values if values is None else values
        return replace(self, values=np.where(mask, given, np.nan), listed=self.listed & mask)

    @cached_property
    def contexts(self) -> np.ndarray:
        """The context of each perturbation, (perturbations,): empty texts where there are none."""
        return np.array([context_in(label) for label in self.labels], dtype=object)

    def headline(self) -> ScoreTable:
        """Return the headline metrics alone, which must be the first."""
        n = len(HEADLINE)
        return replace(self, names=HEADLINE, values=self.values[..., :n], listed=self.listed[..., :n])

    def of_seeds(self, seeds: Iterable[int]) -> np.ndarray:
        """Values of some of the seeds, in ascending order."""
        return self.values[[self.seeds.index(seed) for seed in sorted(seeds)]]


def labels_of(per_seed: Iterable[Scores]) -> list[str]:
    """Every test perturbation that is scored, in alphabetical order."""
    return sorted(set().union(*(values for scores in per_seed for values in scores.values())))


def estimate(per_seed: Sequence[Scores]) -> dict[str, Estimate]:
    """Mean of every metric over perturbations, then over seeds, with a 95 % bootstrap interval.

    See `estimates`.

    Parameters
    ----------
    per_seed
        For each seed: metric -> test perturbation -> value, NaN where undefined.
    """
    names = tuple(dict.fromkeys(name for scores in per_seed for name in scores))
    return estimates(ScoreTable.of(dict(enumerate(per_seed)), names, labels_of(per_seed)))


def estimates(table: ScoreTable) -> dict[str, Estimate]:
    """Mean of every metric that is in a table, with a 95 % bootstrap interval.

    The same perturbation is in the test part of several seeds, so each resample draws perturbations, as
    many as there are different ones, with all that they scored in any seed, and takes the mean over
    perturbations and then over seeds (cluster bootstrap; Davison and Hinkley 1997, section 3.8). Where
    several contexts are tested, this is done in each, and contexts have equal weights. The interval is the
    middle 95 % of 1,000 resamples; with fewer than `FEWEST` perturbations, in a context at that, there is
    none. With three trainings or more it is widened by what they add (`benchmark.evaluation.trainings`).
    """
    own, present = table.listed.any(axis=(0, 2)), table.listed.any(axis=(0, 1))
    # What `compress` leaves lies in memory as before, unlike an array that was indexed: sums are faster.
    values = table.values.compress(own, axis=1).compress(present, axis=2)
    listed = table.listed[..., present].sum(axis=(0, 1))
    if not listed.size:
        return {}
    defined = (~np.isnan(values)).sum(axis=(0, 1))
    contexts = table.contexts[own]
    enough = fewest_in_a_context((~np.isnan(values)).any(axis=0), contexts) >= FEWEST
    means, low, high = mean_and_bounds(values, contexts)
    low, high = np.where(enough, low, np.nan), np.where(enough, high, np.nan)
    low, high, training, _ = widened(means, low, high, values)
    names = [table.names[index] for index in np.flatnonzero(present)]
    numbers = zip(*map(plain, (means, low, high, training)), strict=True)
    counts = zip(defined.tolist(), (listed - defined).tolist(), strict=True)
    return {
        name: Estimate(mean=mean, low=lowest, high=highest, n=n, missing=missing, training=share)
        for name, (mean, lowest, highest, share), (n, missing) in zip(names, numbers, counts, strict=True)
    }


def mean_and_bounds(
    values: np.ndarray, contexts: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean of each column of (seeds, perturbations, columns) and the bounds of its interval: (columns,)."""
    low, high = middle(resampled_means(values, contexts))
    return plain_means(values, contexts), low, high


def plain_means(values: np.ndarray, contexts: np.ndarray | None = None) -> np.ndarray:
    """Mean of each column over perturbations, then over seeds, then over contexts: (columns,).

    Parameters
    ----------
    values
        (seeds, perturbations, columns).
    contexts
        Of each perturbation, (perturbations,); all are of one unless given.

    Returns
    -------
    numpy.ndarray
        NaN where nothing is defined; a context in which nothing is does not count.
    """
    return _over_contexts(
        [weighted_means(part, np.ones((1, part.shape[1]))) for part in _by_context(values, contexts)]
    )[0]


def resampled_means(values: np.ndarray, contexts: np.ndarray | None = None) -> np.ndarray:
    """Do as `plain_means` in each resample of the perturbations of each context: (resamples, columns)."""
    parts = _by_context(values, contexts)
    return _over_contexts(
        [weighted_means(part, board_draws(part.shape[1], place)) for place, part in enumerate(parts)]
    )


def fewest_in_a_context(defined: np.ndarray, contexts: np.ndarray) -> np.ndarray:
    """How many perturbations are defined in the context that has fewest of them, if any: (columns,).

    Parameters
    ----------
    defined
        bool, (perturbations, columns).
    contexts
        Of each perturbation, (perturbations,).
    """
    counts = np.stack([part.sum(axis=1)[0] for part in _by_context(defined[None], contexts)])
    return np.where(counts.any(axis=0), np.where(counts, counts, len(defined)).min(axis=0), 0)


def _by_context(values: np.ndarray, contexts: np.ndarray | None) -> list[np.ndarray]:
    """The perturbations of each context by themselves, in alphabetical order of contexts."""
    names = [] if contexts is None else sorted(set(contexts))
    return [values[:, contexts == name] for name in names] if len(names) > 1 else [values]


def _over_contexts(means: Sequence[np.ndarray]) -> np.ndarray:
    """Mean over those contexts in which something is defined, all with the same weight."""
    return means[0] if len(means) == 1 else mean_over_seeds(np.stack(means))


def mean_over_seeds(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis, where it is defined: (perturbations, columns), NaN where nothing is."""
    defined = ~np.isnan(values)
    counts = defined.sum(axis=0)
    sums = np.where(defined, values, 0.0).sum(axis=0)
    return np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)


def board_draws(n: int, context: int = 0) -> np.ndarray:
    """The resamples of n perturbations, the same wherever as many are drawn: (1000, n); of none there is one.

    Those of each further context are others, since perturbations of different contexts are drawn apart.
    """
    if not n:
        return np.ones((1, 0))
    return draws(n, RESAMPLES, seed=(n, context) if context else n)


def plain(values: np.ndarray) -> list[float | None]:
    """Turn NaN into None."""
    return [None if isnan(value) else value for value in values.tolist()]
