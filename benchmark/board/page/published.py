"""What was published and not run here, as the page shows it beside the rows that were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.board.page.packed import short


@dataclass(frozen=True)
class PublishedRow:
    """Published means of one method.

    Attributes
    ----------
    method
        As the publication calls it.
    group
        The test perturbations that they are over; empty for all.
    metrics
        Our metric -> mean, where both are defined alike.
    other
        What was published under other definitions -> mean.
    source
        Citation, and how the numbers were obtained.
    """

    method: str
    group: str
    metrics: Mapping[str, float]
    other: Mapping[str, float]
    source: str


@dataclass(frozen=True)
class PublishedBoard:
    """Published rows of one data set and split scheme.

    Attributes
    ----------
    dataset, split
        Where they belong.
    title
        What the protocol is called.
    remarks
        What makes them less comparable, one sentence or more each.
    rows
        See `PublishedRow`.
    """

    dataset: str
    split: str
    title: str
    remarks: tuple[str, ...]
    rows: tuple[PublishedRow, ...]

    def as_content(self) -> dict[str, Any]:
        """What the page is given."""
        rows = [
            {
                "label": row.method,
                "group": row.group,
                "metrics": {name: [short(value), None, None, 0, 0] for name, value in row.metrics.items()},
                "other": dict(row.other),
                "source": row.source,
            }
            for row in self.rows
        ]
        return {"title": self.title, "remarks": list(self.remarks), "rows": rows}
