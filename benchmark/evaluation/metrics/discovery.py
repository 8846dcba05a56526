"""Metrics of discovery: which perturbations move a gene, and which doubles interact.

Whoever looks for perturbations that raise a gene puts those that nobody has made yet in the order of their
predicted effect, and makes the first ones. So every gene asks twice, for those that raise it and for those
that lower it: the perturbations of the panel are ranked, and the hits are those whose real cells show the
change. A double interacts in the sense of Norman et al. (Science 2019), by how its singles share in it
(`benchmark.evaluation.metrics.interaction_fit`).

A perturbation scores what the lists score in which it is a hit, at its own place there: the mean over the
hits of one list is its average precision, and intervals are over perturbations, as those of all metrics.
Chance is subtracted, so that nothing is paid for how many hits a list has: whoever says the same of all
perturbations, as the train mean does, scores exactly 0, or an enrichment of 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np

from benchmark.evaluation.metrics.interaction_fit import FIT, dominance, magnitude
from benchmark.evaluation.metrics.response import RESOLUTION, Panel
from benchmark.evaluation.metrics.spec import CONTROL_CELLS, MetricSpec, panel_metric

TOP = 20
"""One in so many perturbations, 5 %, is made where few can be."""

QUARTER = 4
"""One in so many doubles is a hit: those that interact most."""

FEWEST_DOUBLES = 8

QUESTIONS = (
    "every gene asks twice, for perturbations that raise it and that lower it: hits = those in which it is a "
    "real DE gene (Wilcoxon, FDR < 0.05) of that direction, order = predicted change, largest first, ties at "
    "their last place; perturbations that target the gene are left out, and lists of which none, or more "
    "than half, are hits"
)


def _discovery(name: str, formula: str, greatest: float, least: float, chance: str) -> MetricSpec:
    return MetricSpec(
        name=name,
        version="1",
        family="discovery",
        formula=f"mean over the lists in which the perturbation is a hit of {formula}; {QUESTIONS}; {chance}",
        range=(least, greatest),
        higher_is_better=True,
        gene_set="all genes but the targets of the perturbation",
        reference=CONTROL_CELLS,
        nan_means="the perturbation is a hit of no list",
    )


@panel_metric(
    _discovery(
        "hit_auprc",
        "(p - h) / (1 - h), p = share of hits among the perturbations down to its place, h = among all of "
        "the list; the mean over the hits of one list is its average precision, so scaled",
        1.0,
        -1.0,
        "0 is chance, and one answer for all perturbations",
    )
)
def hit_auprc(panel: Panel) -> np.ndarray:
    """How high a perturbation stands in the lists of the genes that it moves, less what chance gives."""
    return _of_hits(panel, Lists.adjusted_precision)


@panel_metric(
    _discovery(
        "hit_enrichment_5",
        "n / k where it is among the first k, else 0, k = 5 % of the n perturbations of the list, rounded "
        "up; ties at the border share its places; the mean over the hits of one list is the share of hits "
        "among the first k for each unit of that among all; of more than k hits the best possible is less",
        float(TOP),
        0.0,
        "1 is chance, and one answer for all perturbations",
    )
)
def hit_enrichment_5(panel: Panel) -> np.ndarray:
    """How many times more often than by chance a perturbation is among the first 5 % of such a list."""
    return _of_hits(panel, Lists.enrichment)


def _interaction(name: str, kind: str) -> MetricSpec:
    return MetricSpec(
        name=name,
        version="1",
        family="discovery",
        formula=f"(p - h) / (1 - h) of the real hits, p = share of hits among the doubles down to its place, "
        f"h = among all; hits = the quarter of the doubles with the {kind}, order by that of the predicted "
        f"double, ties at their last place; the mean is the average precision, so scaled; {FIT}; 0 is "
        "chance, and about what addition scores, which says nearly the same of all",
        range=(-1.0, 1.0),
        higher_is_better=True,
        gene_set="doubles whose singles are measured",
        reference=CONTROL_CELLS,
        nan_means=f"the double is no hit, or fewer than {FEWEST_DOUBLES} have both singles measured",
    )


@panel_metric(_interaction("synergy_hit_auprc", "greatest magnitude sqrt(c1^2 + c2^2)"))
def synergy_hit_auprc(panel: Panel) -> np.ndarray:
    """Whether the doubles that do more than their singles are found."""
    return _of_doubles(panel, magnitude)


@panel_metric(_interaction("buffering_hit_auprc", "least magnitude sqrt(c1^2 + c2^2)"))
def buffering_hit_auprc(panel: Panel) -> np.ndarray:
    """Whether the doubles that do less than their singles are found."""
    return _of_doubles(panel, lambda shares: -magnitude(shares))


@panel_metric(_interaction("epistasis_hit_auprc", "greatest dominance |log10(|c1| / |c2|)|"))
def epistasis_hit_auprc(panel: Panel) -> np.ndarray:
    """Whether the doubles in which one single hides the other are found."""
    return _of_doubles(panel, dominance)


@dataclass(frozen=True, eq=False)
class Lists:
    """Perturbations put in order by a score, one list a column.

    Attributes
    ----------
    hits
        Boolean, (perturbations, lists).
    size
        int64, (lists,): how many perturbations are in each list.
    above, down_to
        int64, (perturbations, lists): how many of the list have a higher score than each, and how many have
        at least its score.
    found
        int64, (perturbations, lists): hits among the latter.
    """

    hits: np.ndarray
    size: np.ndarray
    above: np.ndarray
    down_to: np.ndarray
    found: np.ndarray

    @classmethod
    def of(cls, hits: np.ndarray, scores: np.ndarray, listed: np.ndarray) -> Self:
        """Order the perturbations that are listed, each array (perturbations, lists), by descending score."""
        n = len(scores)
        scores = np.where(listed, scores, -np.inf)
        order = np.argsort(-scores, axis=0, kind="stable")
        ordered = np.take_along_axis(scores, order, axis=0)
        new = np.ones(scores.shape, dtype=bool)
        new[1:] = ordered[1:] != ordered[:-1]
        place = np.arange(n)[:, None]
        first = np.maximum.accumulate(np.where(new, place, 0), axis=0)
        ends = np.roll(new, -1, axis=0)
        ends[-1] = True
        last = np.minimum.accumulate(np.where(ends, place, n)[::-1], axis=0)[::-1]
        so_far = np.take_along_axis(np.cumsum(np.take_along_axis(hits, order, axis=0), axis=0), last, axis=0)
        back = np.argsort(order, axis=0, kind="stable")
        above, down_to, found = (np.take_along_axis(each, back, axis=0) for each in (first, last + 1, so_far))
        return cls(hits, listed.sum(axis=0), above, down_to, found)

    def adjusted_precision(self) -> np.ndarray:
        """Share of hits down to each, less that of all: (perturbations, lists)."""
        share = self.hits.sum(axis=0) / self.size
        return (self.found / self.down_to - share) / (1 - share)

    def enrichment(self) -> np.ndarray:
        """How likely each is among the first, for each unit of what chance gives: (perturbations, lists)."""
        k = -(-self.size // TOP)
        return np.clip((k - self.above) / (self.down_to - self.above), 0, 1) * self.size / k


def _of_hits(panel: Panel, value: Callable[[Lists], np.ndarray]) -> np.ndarray:
    """Mean over the lists of both directions in which a perturbation is a hit; NaN where there are none."""
    predicted = np.round(panel.predicted / RESOLUTION)
    total, count = np.zeros((2, len(predicted)))
    for sign in (1, -1):
        hits = panel.called & panel.scored & (sign * panel.real > 0)
        asked = hits.any(axis=0) & (2 * hits.sum(axis=0) <= panel.scored.sum(axis=0))
        if asked.any():
            lists = Lists.of(hits[:, asked], sign * predicted[:, asked], panel.scored[:, asked])
            total += np.where(lists.hits, value(lists), 0.0).sum(axis=1)
            count += lists.hits.sum(axis=1)
    return np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)


def _of_doubles(panel: Panel, value: Callable[[np.ndarray], float]) -> np.ndarray:
    """Adjusted precision of the quarter of the doubles of which the value is largest; NaN for the others."""
    scores = np.full(len(panel.labels), np.nan)
    known = np.flatnonzero(~np.isnan(panel.real_shares).any(axis=1))
    if len(known) < FEWEST_DOUBLES:
        return scores
    real, predicted = (
        np.array([value(each) for each in shares[known]])
        for shares in (panel.real_shares, panel.predicted_shares)
    )
    # A prediction that determines no shares says nothing of its double.
    predicted = np.round(np.nan_to_num(predicted, nan=-np.inf) / RESOLUTION)
    hits = np.zeros(len(known), dtype=bool)
    hits[np.argsort(-real, kind="stable")[: len(known) // QUARTER]] = True
    lists = Lists.of(hits[:, None], predicted[:, None], np.ones((len(known), 1), dtype=bool))
    scores[known[hits]] = lists.adjusted_precision()[hits, 0]
    return scores
