"""What is asked of a ranking: to find the edges of the network, and what a perturbation acts on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmark.evaluation.statistics import draws
from benchmark.studies.network.rankings import Panel, Rankings
from benchmark.studies.network.scores import (
    average_precision,
    early_precision,
    expected_average_precision,
    resampled_average_precision,
)
from benchmark.studies.network.truth import REACH, TrueNetwork

FEWEST_EDGES = 10
RESAMPLES = 1000


@dataclass(frozen=True, eq=False)
class Score:
    """How well one ranking answers a question.

    Attributes
    ----------
    auprc, early
        Average precision and early precision.
    draws
        (resamples,): average precision in each resample, the same resamples for every ranking.
    """

    auprc: float
    early: float
    draws: np.ndarray


class Question(ABC):
    """Something that rankings are scored on.

    Attributes
    ----------
    name
        What is looked for.
    size
        How many regulators, or perturbations, are resampled for intervals.
    about
        What there is to find, in a few words.
    why_not
        Why the data do not allow the question; empty where they do.
    """

    name: str
    size: int
    about: str
    why_not: str = ""

    @abstractmethod
    def rankings_of(self, contender: Rankings) -> Mapping[str, np.ndarray]:
        """Return the rankings of a contender that answer this question."""

    @abstractmethod
    def score(self, ranking: np.ndarray) -> Score:
        """Score one ranking."""

    @abstractmethod
    def chance(self) -> Score:
        """Return what a random ranking has on average."""


class EdgeQuestion(Question):
    """Whether the edges of the network come first among all pairs of a regulator and another gene.

    All pairs stand in one ranking. The interval resamples regulators, each with all its pairs.
    """

    name = "edges"

    def __init__(self, network: TrueNetwork, panel: Panel) -> None:
        self.size = len(panel.regulators)
        self._truth = network.edge[:, panel.regulators]
        self._candidate = np.ones(self._truth.shape, dtype=bool)
        self._candidate[panel.regulators, np.arange(self.size)] = False
        edges, genes = int(self._truth.sum()), len(panel.genes)
        self.about = f"{edges:,} edges of {self.size:,} regulators among {genes:,} genes"
        if edges < FEWEST_EDGES:
            self.why_not = f"{edges} edges among {genes:,} genes; at least {FEWEST_EDGES} are needed"

    def rankings_of(self, contender: Rankings) -> Mapping[str, np.ndarray]:
        """Return tables of (genes, regulators)."""
        return contender.edges

    def score(self, ranking: np.ndarray) -> Score:
        """Score a table of (genes, regulators)."""
        truth, flat = self._truth[self._candidate], ranking[self._candidate]
        resampled = resampled_average_precision(
            self._truth, ranking, self._candidate, draws(self.size, RESAMPLES)
        )
        return Score(average_precision(truth, flat), early_precision(truth, flat), resampled)

    def chance(self) -> Score:
        """Return the expectation over all orders; a resample has as many pairs, but not as many edges."""
        edges, pairs = self._truth.sum(axis=0), int(self._candidate.sum())
        drawn = expected_average_precision(draws(self.size, RESAMPLES) @ edges, pairs)
        auprc = float(expected_average_precision(edges.sum(), pairs))
        return Score(auprc, float(edges.sum() / pairs), drawn)


class SetQuestion(Question):
    """Whether the genes that a perturbation can reach in the network come first among all genes.

    Each perturbation has a ranking of its own, without the perturbed genes; scores are means over the
    training perturbations with something to find, and the interval resamples those. A perturbation is left
    out where its set is empty (its genes are not measured, or regulate nothing) or holds every gene.
    """

    def __init__(self, network: TrueNetwork, panel: Panel, name: str) -> None:
        self.name = name
        found = [
            (index, genes, network.downstream(genes, REACH[name]))
            for index, genes in enumerate(panel.perturbed)
        ]
        self._asked = [
            _Asked.of(*parts) for parts in found if 0 < parts[2].sum() < len(parts[2]) - len(parts[1])
        ]
        self.size = len(self._asked)
        total = len(panel.labels)
        self.about = f"{self.size} of {total} training perturbations"
        if self._asked:
            typical = np.median([asked.truth.mean() for asked in self._asked])
            self.about += f", typically {typical:.1%} of the genes"
        else:
            edges = int(network.edge.sum())
            self.why_not = (
                f"none of {total} training perturbations has such targets; "
                f"the network has {edges} edges among {len(panel.genes):,} genes"
            )

    def rankings_of(self, contender: Rankings) -> Mapping[str, np.ndarray]:
        """Return tables of (perturbations, genes)."""
        return contender.genes

    def score(self, ranking: np.ndarray) -> Score:
        """Score a table of (perturbations, genes)."""
        lists = [(asked.truth, ranking[asked.row, asked.genes]) for asked in self._asked]
        return self._mean(
            np.array([average_precision(truth, score) for truth, score in lists]),
            np.array([early_precision(truth, score) for truth, score in lists]),
        )

    def chance(self) -> Score:
        """Return the mean of the expectations."""
        sizes = [(asked.truth.sum(), len(asked.truth)) for asked in self._asked]
        expected = [float(expected_average_precision(true, total)) for true, total in sizes]
        return self._mean(np.array(expected), np.array([true / total for true, total in sizes]))

    def _mean(self, auprc: np.ndarray, early: np.ndarray) -> Score:
        resampled = draws(self.size, RESAMPLES) @ auprc / self.size
        return Score(float(auprc.mean()), float(early.mean()), resampled)


@dataclass(frozen=True, eq=False)
class _Asked:
    """One perturbation: its row in a ranking, the genes that are ranked, and which of them are true."""

    row: int
    genes: np.ndarray
    truth: np.ndarray

    @classmethod
    def of(cls, row: int, perturbed: np.ndarray, downstream: np.ndarray) -> _Asked:
        genes = np.setdiff1d(np.arange(len(downstream)), perturbed)
        return cls(row, genes, downstream[genes])
