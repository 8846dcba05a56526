"""The contexts of a board: runs narrowed to one, and what is learned in some and tested in another."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from benchmark.board.intervals import estimates
from benchmark.board.ranks import Member
from benchmark.board.rows import Transfer
from benchmark.contexts import NONE, context_in
from benchmark.errors import BenchmarkError, unknown
from benchmark.evaluation.controls import about_controls
from benchmark.records.tracking import StoredRun

OTHERS = "the other contexts"
ALL = "all contexts"
UNKNOWN = "not known"


def tested_in(runs: Sequence[StoredRun], context: str) -> list[StoredRun]:
    """Return the finished runs that were tested in a context, with what they scored there alone.

    Raises
    ------
    BenchmarkError
        When there is none.
    """
    finished = [run for run in runs if run.is_readable and run.status == "finished"]
    found = [run.of_context(context) for run in finished]
    if not any(run.labels for run in found):
        known = sorted({context_in(label) for run in finished for label in run.labels} - {NONE})
        if not known:
            raise BenchmarkError(
                f"No run was tested in context '{context}': none is recorded on data with several contexts; "
                "leave out --context."
            )
        raise unknown("context", context, known)
    return [run for run in found if run.labels]


def controls_of(runs: Sequence[StoredRun], context: str | None = None) -> str:
    """Say of each context, or of one, what the newest run that knows it says of its control cells."""
    found: dict[str, dict[str, int]] = {}
    for run in runs:
        of_run: dict[str, dict[str, int]] = {}
        for name, count in json.loads(run.tags.get("controls", "{}")).items():
            of_run.setdefault(context_in(name), {})[name] = count
        found = of_run | found
    chosen = sorted(found) if context is None else [name for name in found if name == context]
    return about_controls({name: count for each in chosen for name, count in found[each].items()})


def add_transfer(members: Sequence[Member], trained: Mapping[int, Collection[str]]) -> None:
    """Write into each row what it scores in each context that is tested, by where it was trained.

    Nothing is written where one context is tested, in whatever seeds.

    Parameters
    ----------
    members
        The rows of a block, whose tables have the same perturbations.
    trained
        Seed -> the contexts of which it shows perturbations; empty where that is not known.
    """
    contexts = members[0].table.contexts if members else np.empty(0, dtype=object)
    tested = sorted(set(contexts))
    if len(tested) < 2:
        return
    every = set(tested).union(*trained.values())
    for member in members:
        table = member.table.headline()
        where = np.array(
            [[_named(trained[seed], context, every) for context in contexts] for seed in table.seeds]
        )
        scored = table.listed.any(axis=2)
        for name in sorted(set(where[scored])):
            own = table.keep((where == name)[..., None])
            found = {each: estimates(own.keep((contexts == each)[:, None])) for each in tested}
            member.row.transfer.append(Transfer(trained=name, tested=found, mean=estimates(own)))


def _named(trained: Collection[str], tested: str, every: Collection[str]) -> str:
    """What a row was trained on, as seen from the context that it is tested in."""
    if not trained:
        return UNKNOWN
    if set(trained) == set(every):
        return ALL
    if set(trained) == set(every) - {tested}:
        return OTHERS
    return ", ".join(sorted(trained))
