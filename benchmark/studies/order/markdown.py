"""Pieces of Markdown that several parts of the report share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmark.evaluation.metrics import METRICS


def heading(metric: str) -> str:
    """Name a metric with the way that is better."""
    return metric + {True: " ↑", False: " ↓", None: ""}[METRICS[metric].spec.higher_is_better]


def turned(metric: str) -> str:
    """Name a metric whose differences are turned so that positive is better."""
    return metric if METRICS[metric].spec.higher_is_better else f"{metric}, sign turned"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out a table, its first column to the left and the others to the right."""
    lines = ["| " + " | ".join(headings) + " |", "| --- |" + " ---: |" * (len(headings) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
