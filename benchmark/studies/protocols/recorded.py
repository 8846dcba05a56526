"""What is recorded under a protocol, in its metrics and over its genes, beside what was published."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.board import BOUNDS
from benchmark.board.rows import label_of
from benchmark.data import Dataset
from benchmark.data.blocks import LazyCells
from benchmark.evaluation import scoring
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.submission import read_submission
from benchmark.perturbation import Perturbation
from benchmark.records.archive import read_archive
from benchmark.records.tracking import StoredRun, Tracker
from benchmark.splits import Split
from benchmark.splits.views import given_controls
from benchmark.studies.protocols.card import ProtocolCard, split_of
from benchmark.studies.protocols.genes import evaluation_genes
from benchmark.studies.protocols.lines import Line, published_rows


def protocol_lines(card: ProtocolCard, dataset: Dataset) -> list[Line]:
    """Return what is recorded under a protocol and what was published, group by group.

    What is recorded counts where data set, split, seed and number of cells are those of the protocol: the
    bounds first, then by the first metric of the card, the best first. Where the protocol scores fewer genes
    than were predicted, the archives are scored anew on those.
    """
    published = published_rows(card)
    groups = list(dict.fromkeys(row.group for row in published)) or [""]
    recorded = _recorded(card, dataset)
    lines = []
    for group in groups:
        here = [line for line in (_line(card, name, tables, group) for name, tables in recorded) if line]
        lines += sorted(here, key=lambda line: (line.method not in BOUNDS, _badness(card, line)))
        lines += [row for row in published if row.group == group]
    return lines


def in_group(label: str, group_of_split: str, group: str) -> bool:
    """Whether a test perturbation belongs to a group as published lines name it."""
    kinds = {"": True, "double": Perturbation.parse(label).is_double}
    kinds["single"] = not kinds["double"]
    return kinds.get(group, group == group_of_split)


Tables = dict[int, pd.DataFrame]


def _recorded(card: ProtocolCard, dataset: Dataset) -> list[tuple[str, Tables]]:
    """Label of each configuration -> for each seed a row per test perturbation: group and metrics."""
    tracker = Tracker()
    splits = {seed: split_of(card, dataset, seed) for seed in card.seeds}
    newest: dict[tuple[str, ...], dict[int, StoredRun]] = defaultdict(dict)
    for run in tracker.runs("attributes.status = 'FINISHED'"):
        if _belongs(run, card, dataset, splits):
            newest[_configuration(run)].setdefault(int(run.tags["seed"]), run)

    @cache
    def cut(seed: int) -> Dataset:
        columns = evaluation_genes(dataset, splits[seed], card.most_variable)
        return replace(dataset, adata=dataset.adata[:, columns].copy())

    def table(seed: int, run: StoredRun) -> pd.DataFrame:
        if card.most_variable is None:
            scores = pd.DataFrame(run.scores)
        else:
            scores = _scored_anew(tracker, run, dataset, cut(seed), splits[seed])
        return scores.reindex(columns=list(card.metrics)).assign(group=pd.Series(splits[seed].groups))

    return [
        (name, {seed: table(seed, run) for seed, run in sorted(runs.items())})
        for (name, *_), runs in newest.items()
    ]


def _belongs(run: StoredRun, card: ProtocolCard, dataset: Dataset, splits: dict[int, Split]) -> bool:
    tags = run.tags
    return (
        run.is_readable
        and (tags["dataset"], tags["dataset_digest"], tags["split"])
        == (dataset.name, dataset.digest, card.split)
        and int(tags["seed"]) in splits
        and tags["split_digest"] == splits[int(tags["seed"])].digest
        and (tags["method"] in BOUNDS or int(tags["cells"]) == _cells(card, dataset, splits))
    )


def _cells(card: ProtocolCard, dataset: Dataset, splits: dict[int, Split]) -> int:
    """How many cells the runs of a protocol predict: no more than there are control cells."""
    return min(card.cells, *(int(given_controls(dataset, split).sum()) for split in splits.values()))


def _configuration(run: StoredRun) -> tuple[str, ...]:
    """What the line is called, and what tells it from others of that name."""
    tags = run.tags
    name = label_of(tags["method"], tags["configuration"], int(run.samples))
    return name, tags["method_version"], tags["config_digest"]


def _scored_anew(
    tracker: Tracker, run: StoredRun, dataset: Dataset, cut: Dataset, split: Split
) -> pd.DataFrame:
    """Score what a run predicted on fewer genes; metrics that did not apply to it are left out."""
    if run.tags["method"] in BOUNDS:
        return scoring.BOUNDS[run.tags["method"]](cut, split)
    applied = json.loads(run.tags["metric_versions"])
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        record = tracker.record(run.run_id)
        path = tracker.artifact(run.run_id, record.archive, Path(folder))
        if record.reading:
            predicted = read_submission(path, dataset, split, seed=split.seed, **record.reading).predicted
        else:
            predicted = read_archive(path, list(dataset.adata.var_names))
        columns = dataset.adata.var_names.get_indexer(cut.adata.var_names)
        fewer = LazyCells(predicted, lambda label: predicted[label][:, columns])
        scores = scoring.score(cut, split, fewer)
    return scores[[name for name in scores if name in applied]]


def _line(card: ProtocolCard, name: str, tables: Tables, group: str) -> Line | None:
    """Average one configuration over a group; None where no test perturbation belongs to it."""
    means = []
    for table in tables.values():
        rows = [in_group(label, own, group) for label, own in table["group"].items()]
        means.append(table.loc[rows, list(card.metrics)].astype(float).mean())
    found = pd.concat(means, axis=1).mean(axis=1)
    if found.isna().all():
        return None
    values = {name: None if np.isnan(value) else float(value) for name, value in found.items()}
    return Line(name, group, values, tuple(tables))


def _badness(card: ProtocolCard, line: Line) -> float:
    """A number that is the smaller, the better the first metric of the card is."""
    first = card.metrics[0]
    value = line.metrics[first]
    if value is None:
        return float("inf")
    return -METRICS[first].spec.sign * value
