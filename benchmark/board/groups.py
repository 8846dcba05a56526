"""Means per group of test perturbations (unseen_single, combo_seen0 and the like), and per context."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from benchmark.board.intervals import ScoreTable, estimates
from benchmark.board.ranks import Member
from benchmark.board.rows import HEADLINE
from benchmark.errors import BenchmarkError
from benchmark.perturbation import Perturbation
from benchmark.records.tracking import StoredRun
from benchmark.splits import list_splits

Groups = Mapping[int, Mapping[str, str]]
"""Seed -> test perturbation -> group."""


class FrozenGroups:
    """The groups of the frozen splits, read when the first run asks that does not know its own."""

    def __init__(self) -> None:
        self._by_digest: dict[str, dict[str, str]] | None = None

    def of(self, runs: Sequence[StoredRun]) -> dict[int, dict[str, str]]:
        """Return the groups of each seed as one of its runs has them, or as its split file says."""
        found: dict[int, dict[str, str]] = {}
        for run in runs:
            seed = int(run.tags["seed"])
            if not found.get(seed):
                found[seed] = run.groups or self._frozen(run.tags["split_digest"])
        return found

    def _frozen(self, digest: str) -> dict[str, str]:
        if self._by_digest is None:
            try:
                self._by_digest = {split.digest: split.groups for split in list_splits()}
            except BenchmarkError as error:
                logging.getLogger("benchmark").warning("Groups of older runs are not shown: %s", error)
                self._by_digest = {}
        return self._by_digest.get(digest, {})


def add_groups(members: Sequence[Member], groups: Groups) -> None:
    """Write the means per group into each row, in the headline metrics; nothing where there is one group.

    A perturbation may be in different groups in different seeds: which genes are seen is up to the split.
    Where several contexts are tested, in whatever seeds, each is a group beside these, called ``in K562``.
    """
    kinds: tuple[Callable[[int, str], str], ...] = (
        lambda seed, label: groups.get(seed, {}).get(label, ""),
        lambda _, label: _context(label),
    )
    for kind in kinds:
        tested = [(seed, label) for seed, of_seed in groups.items() for label in of_seed]
        names = sorted({kind(*each) for each in tested})
        if len(names) < 2:
            continue
        for member in members:
            table = _headline(member.table)
            of = np.array([[kind(seed, label) for label in table.labels] for seed in table.seeds])
            member.row.groups |= {name: estimates(table.keep((of == name)[..., None])) for name in names}


def _context(label: str) -> str:
    context = Perturbation.parse(label).context
    return f"in {context}" if context else ""


def _headline(table: ScoreTable) -> ScoreTable:
    n = len(HEADLINE)
    return ScoreTable(table.seeds, table.labels, HEADLINE, table.values[..., :n], table.listed[..., :n])
