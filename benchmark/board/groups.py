"""Means per group of test perturbations (unseen_single, combo_seen0 and the like), and per context."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cache

import numpy as np

from benchmark.board.intervals import estimates
from benchmark.board.ranks import Member
from benchmark.contexts import context_in
from benchmark.errors import BenchmarkError
from benchmark.records.tracking import StoredRun
from benchmark.splits import Split, list_splits

Groups = Mapping[int, Mapping[str, str]]
"""Seed -> test perturbation -> group."""

IN = "in "
"""Begins the name of a group that is a context."""


class FrozenSplits:
    """What the frozen splits say of runs that do not say it; their files are read when the first run asks."""

    def __init__(self) -> None:
        self._by_digest: dict[str, Split] | None = None

    def groups(self, runs: Sequence[StoredRun]) -> dict[int, dict[str, str]]:
        """Return the groups of each seed as one of its runs has them, or as its split file says."""
        found: dict[int, dict[str, str]] = {}
        for run in runs:
            seed = int(run.tags["seed"])
            if not found.get(seed):
                found[seed] = run.groups or self._groups(run)
        return found

    def trained(self, runs: Sequence[StoredRun]) -> dict[int, frozenset[str]]:
        """Return the contexts of which each seed shows perturbations; empty where no file says it."""
        digests = {int(run.tags["seed"]): run.tags["split_digest"] for run in runs}
        splits = {seed: self._split(digest) for seed, digest in digests.items()}
        return {
            seed: frozenset(map(context_in, split.train if split else ())) for seed, split in splits.items()
        }

    def _groups(self, run: StoredRun) -> dict[str, str]:
        split = self._split(run.tags["split_digest"])
        return split.groups if split else {}

    def _split(self, digest: str) -> Split | None:
        if self._by_digest is None:
            try:
                self._by_digest = {split.digest: split for split in list_splits()}
            except BenchmarkError as error:
                logging.getLogger("benchmark").warning("Groups of older runs are not shown: %s", error)
                self._by_digest = {}
        return self._by_digest.get(digest)


def add_groups(members: Sequence[Member], groups: Groups) -> None:
    """Write the means per group into each row, in the headline metrics; nothing where there is one group.

    A perturbation may be in different groups in different seeds: which genes are seen is up to the split.
    Where several contexts are tested, in whatever seeds, each is a group beside these, called ``in K562``.
    """
    known = {group for of_seed in groups.values() for group in of_seed.values()} - {""}
    labels = members[0].table.labels if members else ()
    contexts = {label: f"{IN}{context}" for label in labels if (context := context_in(label))}
    _add(members, sorted(known), lambda seed, label: groups.get(seed, {}).get(label, ""))
    _add(members, sorted(set(contexts.values())), lambda _, label: contexts.get(label, ""))


def _add(members: Sequence[Member], names: Sequence[str], kind: Callable[[int, str], str]) -> None:
    """Write the means over perturbations of each kind, given by seed and label, where there are several."""
    if len(names) < 2:
        return

    @cache  # rows of a block have the same labels, and as a rule the same seeds
    def masks(seeds: tuple[int, ...], labels: tuple[str, ...]) -> dict[str, np.ndarray]:
        of = np.array([[kind(seed, label) for label in labels] for seed in seeds])
        return {name: (of == name)[..., None] for name in names}

    for member in members:
        table = member.table.headline()
        of = masks(table.seeds, table.labels)
        member.row.groups |= {name: estimates(table.keep(mask)) for name, mask in of.items()}
