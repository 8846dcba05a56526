"""Mean ranks over the headline metrics, with intervals from the same resamples as everything else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmark.board.intervals import FEWEST, ScoreTable, fewest_in_a_context, plain_means, resampled_means
from benchmark.board.rows import HEADLINE, Row
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.statistics import middle
from benchmark.evaluation.trainings import FEWEST_TRAININGS


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
        signs = [METRICS[name].spec.sign for name in HEADLINE]
        return self.table.of_seeds(seeds)[..., : len(HEADLINE)] * signs


def ranked(members: Sequence[Member]) -> tuple[list[Member], list[Member]]:
    """Sort by mean rank over the headline metrics; an undefined mean ranks last, ties share their rank.

    Ranks compare the same seeds for all, see `common_seeds`: a seed of one's own choice would win. A row that
    lacks one of them is not ranked, nor one that knows the truth, and its reason says so. Submitted
    rows have no say in the seeds and do not count in the ranks of others, or handing in decoys would move
    them. The interval of a mean rank is the middle 95 % of what it is in 1,000 resamples of the
    perturbations, each drawn for all rows alike.

    Returns
    -------
    tuple
        The ranked rows, best first, and the others.
    """
    told = [member for member in members if member.row.knows_truth]
    for member in told:
        member.row.reason = "it is told the truth, which nobody can know: a control"
    members = [member for member in members if not member.row.knows_truth]
    own = [member for member in members if not member.row.is_submitted] or members
    chosen = [member for member in own if not member.row.is_anchor] or own
    seeds = common_seeds(*([member.table.seeds for member in some] for some in (own, chosen)))
    within = [member for member in members if seeds.issubset(member.table.seeds)]
    without = [member for member in members if member not in within]
    for member in without:
        lacking = ", ".join(map(str, sorted(seeds.difference(member.table.seeds))))
        member.row.reason = (
            f"it has no run of seed {lacking}, and ranks compare the seeds that most rows have"
        )
    if within:
        _rank(within, sorted(seeds))
    return sorted(within, key=lambda member: (member.row.mean_rank, member.row.label)), without + told


def common_seeds(rows: Sequence[Collection[int]], chosen: Sequence[Collection[int]]) -> set[int]:
    """The seeds that all rows have, so that another seed of one row leaves the others where they are.

    Where that are fewer than it takes to tell trainings apart, and more than half of the rows that somebody
    chose to run share enough, they are those of all rows that have these: so a row of a single seed does not
    take the other seeds from a board. Where rows have none in common, the most frequent seed decides.

    Parameters
    ----------
    rows
        Seeds of each row.
    chosen
        The same without the rows that come with any other, which have a seed as soon as one row has it.
    """
    shared = set.intersection(*map(set, rows)) if rows else set()
    counts = Counter(seed for seeds in chosen for seed in seeds)
    frequent = sorted(counts, key=lambda seed: (-counts[seed], seed))
    enough = set(frequent[:FEWEST_TRAININGS])
    have = sum(enough.issubset(seeds) for seeds in chosen)
    if len(shared) < FEWEST_TRAININGS <= len(enough) and have > len(chosen) / 2:
        return set.intersection(*(set(seeds) for seeds in rows if enough.issubset(seeds)))
    if shared or not frequent:
        return shared
    return set.intersection(*(set(seeds) for seeds in rows if frequent[0] in seeds))


def _rank(members: Sequence[Member], seeds: Sequence[int]) -> None:
    """Write rank, mean rank and its interval into rows that all have these seeds."""
    values = [member.headline(seeds) for member in members]
    scored = np.any([~np.isnan(each).all(axis=(0, 2)) for each in values], axis=0)
    counted = np.array([not member.row.is_submitted for member in members])
    counted |= not counted.any()
    contexts = members[0].table.contexts
    means = np.stack([plain_means(each, contexts)[None] for each in values])
    mean_ranks = _mean_ranks(means, counted)[:, 0]
    own = contexts[scored]
    resampled = np.stack([resampled_means(each[:, scored], own) for each in values])
    low, high = middle(_mean_ranks(resampled, counted).T)
    enough = fewest_in_a_context(scored[:, None], contexts)[0] >= FEWEST
    places = pd.Series(mean_ranks).rank(method="min")
    for index, member in enumerate(members):
        row = member.row
        row.rank, row.mean_rank = int(places[index]), round(float(mean_ranks[index]), 4)
        if enough:
            row.mean_rank_low, row.mean_rank_high = (round(float(end[index]), 4) for end in (low, high))


def _mean_ranks(means: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Rank the rows of (rows, resamples, metrics) among those that count: means over metrics."""
    losses = np.where(np.isnan(means), np.inf, -means)
    ranks, rivals = np.empty(losses.shape), losses[counted]
    ranks[counted] = pd.DataFrame(rivals.reshape(len(rivals), -1)).rank().to_numpy().reshape(rivals.shape)
    for index in np.flatnonzero(~counted):
        better, level = (rivals < losses[index]).sum(axis=0), (rivals == losses[index]).sum(axis=0)
        ranks[index] = 1 + better + level / 2
    return ranks.mean(axis=2)
