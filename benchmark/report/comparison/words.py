"""A comparison as tables, as JSON and as a page."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from benchmark.records.record import Record
from benchmark.report import html
from benchmark.report.comparison.pairs import GAIN, Comparison
from benchmark.studies.order.statistics import Difference

LARGEST = 5
"""Wins, and losses, that are listed."""
READING = (
    "Differences are between scores of the same perturbation, turned so that positive means: the first "
    "run is better. Intervals are the middle 95 % of 10,000 bootstrap resamples of perturbations; "
    "p is of the signed-rank test, corrected for the number of metrics (Holm); better and worse: in so many "
    "of the perturbations; effect: length of the real change (log1p CP10K). One seed says nothing about how "
    "another training would come out."
)


def title(record: Record) -> str:
    """Method, configuration and the beginning of the id of a run."""
    at = record.coordinates
    return f"{at.method} ({at.configuration}), run {record.run_id[:8]}"


def question(comparison: Comparison) -> str:
    """What both runs answered."""
    at = comparison.first.coordinates
    return f"{at.dataset}, split {at.split}-{at.seed}, {len(comparison.table)} test perturbations"


def metric_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """One row per metric."""
    return [_metric_row(comparison, each) for each in comparison.metrics]


def _metric_row(comparison: Comparison, each: Difference) -> dict[str, Any]:
    # Of perturbations where both are defined, as the difference is.
    paired = comparison.table.dropna(subset=[f"{GAIN}{each.metric}"])
    means = [paired[f"{side}_{each.metric}"].mean() for side in ("first", "second")]
    return {
        "metric": each.metric,
        "first": _number(means[0]),
        "second": _number(means[1]),
        "difference": _signed(each.mean) + _interval(each),
        "p": "" if math.isnan(each.corrected) else f"{each.corrected:.2g}",
        "better in": _share(each.better, each.n),
        "worse in": _share(each.worse, each.n),
        **({"undefined": each.undefined} if any(other.undefined for other in comparison.metrics) else {}),
    }


def _interval(each: Difference) -> str:
    return "" if math.isnan(each.low) else f"\n[{each.low:+.3f}, {each.high:+.3f}]"


def group_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """Mean difference per group and metric."""
    return [
        {
            "group": row["group"],
            "n": row["perturbations"],
            **{each.metric: _signed(row[f"{GAIN}{each.metric}"]) for each in comparison.metrics},
        }
        for row in comparison.by_group().to_dict("records")
    ]


def extreme_rows(part: pd.DataFrame, metric: str) -> list[dict[str, Any]]:
    """Rows of wins or losses in one metric."""
    records = part.to_dict("records")
    return [
        {
            "perturbation": row["perturbation"],
            "group": row["group"],
            **({} if math.isnan(row["effect_size"]) else {"effect": f"{row['effect_size']:.2f}"}),
            "first": _number(row[f"first_{metric}"]),
            "second": _number(row[f"second_{metric}"]),
            "difference": _signed(row[f"{GAIN}{metric}"]),
            **({"refused by": row["refused_by"]} if any(each["refused_by"] for each in records) else {}),
        }
        for row in records
    ]


def tables(comparison: Comparison, by: str) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return all tables with their headings; wins and losses are those in the metric `by`."""
    wins, losses = comparison.extremes(by, LARGEST)
    return [
        ("Over all test perturbations", metric_rows(comparison)),
        ("Mean difference per group", group_rows(comparison)),
        (f"Where the first wins most, in {by}", extreme_rows(wins, by)),
        (f"Where the first loses most, in {by}", extreme_rows(losses, by)),
    ]


def as_json(comparison: Comparison) -> str:
    """Everything, as one object; undefined numbers are null."""
    runs = {
        side: {"run": record.run_id, **record.coordinates.model_dump(include={"method", "configuration"})}
        for side, record in (("first", comparison.first), ("second", comparison.second))
    }
    content = {
        **runs,
        "notes": comparison.notes,
        "metrics": [asdict(each) for each in comparison.metrics],
        "groups": comparison.by_group().to_dict("records"),
        "perturbations": comparison.table.to_dict("records"),
    }
    return json.dumps(_plain(content))


def as_html(comparison: Comparison, by: str, png: bytes) -> str:
    """One page that needs no other file."""
    heading = f"{title(comparison.first)} against {title(comparison.second)}"
    parts = [html.paragraph(text) for text in (question(comparison), *comparison.notes, READING)]
    for name, rows in tables(comparison, by):
        cells = [tuple(str(value) for value in row.values()) for row in rows]
        parts.append(html.heading(name))
        parts.append(html.table(cells, tuple(rows[0])) if rows else html.paragraph("None."))
    parts.append(html.heading("Each perturbation"))
    parts.append(html.picture(png, "Difference of each perturbation against its effect size"))
    return html.document(heading, parts)


def _number(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.4f}"


def _signed(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:+.4f}"


def _share(share: float, n: int) -> str:
    return "" if math.isnan(share) else f"{round(share * n)} of {n}"


def _plain(value: Any) -> Any:
    """Replace NaN by None, all the way down."""
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value
