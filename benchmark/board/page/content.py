"""What is on the page, as plain objects and lists that the page reads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from benchmark import __version__
from benchmark.board.groups import IN
from benchmark.board.notes import notes
from benchmark.board.page.costs import costs
from benchmark.board.page.packed import short
from benchmark.board.page.published import PublishedBoard
from benchmark.board.page.runs import Runs, about_runs, groups_of, per_perturbation
from benchmark.board.page.verdict import ALPHA, QUESTIONS, is_behind, verdict
from benchmark.board.rows import BASELINE, HEADLINE, SHOWN, Block, Comparison, Estimate, Row, Transfer
from benchmark.data.cards import DatasetCard, list_cards
from benchmark.evaluation.metrics import METRICS
from benchmark.records.tracking import StoredRun


def as_content(
    blocks: Sequence[Block],
    runs: Sequence[StoredRun],
    published: Sequence[PublishedBoard] = (),
    trust: Mapping[tuple[str, str, str], Mapping[str, Any]] | None = None,
    reports: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Turn blocks, and the runs that they were made from, into what the page is given.

    Parameters
    ----------
    blocks
        As `benchmark.board.build_board` returns them.
    runs
        Where it had them from.
    published
        What was published for the same data sets, or others.
    trust
        Data set, split and digest of the data -> what `benchmark.studies.trust` saved of the metrics there.
    reports
        Run -> address of the report on it, as seen from the page, where there is one.
    """
    by_id = {run.run_id: run for run in runs}
    cards = {card.name: card for card in list_cards()}
    there = {(block.dataset, block.split) for block in blocks}
    names = {name for block in blocks for row in block.rows for name in row.metrics}
    names |= {name for board in published for row in board.rows for name in row.metrics}
    return {
        "version": __version__,
        "alpha": ALPHA,
        "baseline": BASELINE,
        "headline": HEADLINE,
        "shown": SHOWN,
        "metrics": {name: _metric(name) for name in METRICS if name in {*SHOWN, *names}},
        "opens": _opens(blocks),
        "boards": [
            _board(block, by_id, published, reports or {})
            | {"costs": costs(block, runs)}
            | {"trust": (trust or {}).get((block.dataset, block.split, block.dataset_digest))}
            | _of_card(block.dataset, cards)
            for block in blocks
        ]
        + [
            _empty(board.dataset, board.split, [board]) | _of_card(board.dataset, cards)
            for board in published
            if (board.dataset, board.split) not in there
        ],
    }


def _opens(blocks: Sequence[Block]) -> int:
    """The block that says most: with the most differences that are more than chance, then the most rows."""
    said = [
        (
            sum(is_behind(found) for row in block.rows for found in row.behind_best.values()),
            sum(row.rank is not None for row in block.rows),
        )
        for block in blocks
    ]
    return said.index(max(said)) if said else 0


def _of_card(dataset: str, cards: Mapping[str, DatasetCard]) -> dict[str, str]:
    """What a data set is, in a line, and how it is cited; nothing is known of one without a card."""
    card = cards.get(dataset)
    return {"title": card.title if card else "", "citation": card.citation if card else ""}


def _metric(name: str) -> dict[str, Any]:
    """The declaration of a metric; an end of its range that is infinite is None."""
    spec = METRICS[name].spec
    return {
        "question": QUESTIONS.get(name, ""),
        "family": spec.family,
        "better": {True: 1, False: -1, None: 0}[spec.higher_is_better],
        "formula": spec.formula,
        "range": [end if math.isfinite(end) else None for end in spec.range],
        "genes": spec.gene_set,
        "undefined": spec.nan_means,
    }


def _empty(dataset: str, split: str, published: Sequence[PublishedBoard]) -> dict[str, Any]:
    """A board without runs."""
    return {
        "dataset": dataset,
        "split": split,
        "digest": "",
        "other_split": "",
        "context": "",
        "seeds": [],
        "groups": [],
        "contexts": [],
        "verdict": {
            "summary": ["Nothing was run here on this split; what was published is below."],
            "seeds": [],
            "metrics": [],
        },
        "notes": [],
        "rows": [],
        "scores": None,
        "costs": [],
        "title": "",
        "citation": "",
        "published": [board.as_content() for board in published],
        "trust": None,
    }


def _board(
    block: Block, runs: Runs, published: Sequence[PublishedBoard], reports: Mapping[str, str]
) -> dict[str, Any]:
    here = [board for board in published if (board.dataset, board.split) == (block.dataset, block.split)]
    tested = sorted({name for row in block.rows for each in row.transfer for name in each.tested})
    in_contexts = [f"{IN}{name}" for name in tested]
    return _empty(block.dataset, block.split, here) | {
        "digest": block.dataset_digest,
        "other_split": block.other_split,
        "context": block.context,
        "seeds": block.seeds,
        "groups": sorted({group for row in block.rows for group in row.groups} - set(in_contexts)),
        "contexts": in_contexts,
        "verdict": verdict(block),
        "notes": notes(block),
        "rows": [_row(row, block, runs, reports) for row in block.rows],
        "scores": per_perturbation(block, runs, groups_of(block, runs)),
    }


def _row(row: Row, block: Block, runs: Runs, reports: Mapping[str, str]) -> dict[str, Any]:
    return {
        "label": block.name(row),
        "method": row.method,
        "kind": _kind(row),
        "status": row.status,
        "rank": row.rank,
        "mean_rank": [short(row.mean_rank), short(row.mean_rank_low), short(row.mean_rank_high)],
        "seeds": row.seed_list,
        "whole": row.seed_list == block.seeds,
        "cells": row.cells,
        "samples": row.samples,
        "coverage": short(row.coverage),
        "fallbacks": row.fallbacks,
        "sampling_noise": short(row.sampling_noise),
        "training": short(row.training_share),
        "seconds": short(row.seconds),
        "trials": row.tuning_trials,
        "tuning_seconds": short(row.tuning_seconds),
        "overlap": row.tuning_overlap,
        "outdated": row.outdated,
        "reason": row.reason,
        "best_in": row.best_in,
        "level_in": [name for name, found in row.behind_best.items() if not is_behind(found)],
        "behind": {name: _comparison(found) for name, found in row.behind_best.items()},
        "next": row.next_row,
        "against_next": {name: _comparison(found) for name, found in row.against_next.items()},
        "metrics": _estimates(row.metrics),
        "scaled": _estimates(row.scaled),
        "groups": {group: _estimates(found) for group, found in row.groups.items()},
        "transfer": [_transfer(found) for found in row.transfer],
        "runs": [about | {"report": reports.get(about["id"])} for about in about_runs(row, runs)],
    }


def _kind(row: Row) -> str:
    """What the page marks a row as."""
    if row.is_bound:
        return "bound"
    if not row.is_shown:
        return "unfinished"
    if row.is_submitted:
        return "submitted"
    return "anchor" if row.is_anchor else "method"


def _estimates(found: Mapping[str, Estimate]) -> dict[str, list[float | None]]:
    """Metric -> mean, bounds, and how many perturbations are defined and undefined."""
    return {
        name: [short(each.mean), short(each.low), short(each.high), each.n, each.missing]
        for name, each in found.items()
    }


def _transfer(found: Transfer) -> dict[str, Any]:
    """Where it was trained; context -> metric -> estimate; and the mean over contexts."""
    tested = {context: _estimates(scores) for context, scores in found.tested.items() if scores}
    return {"trained": found.trained, "tested": tested, "mean": _estimates(found.mean)}


def _comparison(found: Comparison) -> list[float | None]:
    return [short(found.mean), short(found.low), short(found.high), short(found.corrected), found.n]
