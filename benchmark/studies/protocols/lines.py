"""The lines of a board of a protocol: those that were published, how all are written, what the page shows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from benchmark.board.page.published import PublishedBoard, PublishedRow
from benchmark.evaluation.metrics import METRICS
from benchmark.studies.protocols.card import ProtocolCard, list_protocols

PUBLISHED = "published, not run here"
SOURCES = {
    "table": "from a table",
    "text": "from the text",
    "figure": "read off a figure",
    "secondary": "from a secondary source",
}


@dataclass(frozen=True)
class Line:
    """One method for one group of test perturbations.

    Attributes
    ----------
    method, group
        `group` as `benchmark.studies.protocols.card.Published` has it; empty for all test perturbations.
    metrics
        Our metric -> mean over perturbations, then over seeds; None where unpublished or undefined.
    seeds
        Of the runs behind it; empty for a published line.
    published
        Citation and how the numbers were obtained; empty for what was run here.
    other
        What was published under other definitions than ours.
    """

    method: str
    group: str
    metrics: dict[str, float | None]
    seeds: tuple[int, ...] = ()
    published: str = ""
    other: dict[str, float] = field(default_factory=dict)


def published_rows(card: ProtocolCard) -> list[Line]:
    """Return the published lines of a protocol, in the order of its card."""
    return [
        Line(
            method=row.method,
            group=row.group,
            metrics={name: row.metrics.get(name) for name in card.metrics},
            published="; ".join(
                part for part in (row.citation or card.citation, SOURCES[row.source], row.note) if part
            ),
            other=row.other,
        )
        for row in card.published
    ]


def as_rows(card: ProtocolCard, lines: Iterable[Line]) -> list[dict[str, str]]:
    """Write lines as rows of a table; numbers in brackets stand for the list of citations."""
    lines = list(lines)
    cited = citations(lines)
    return [
        {
            "group": line.group or "all",
            "method": line.method,
            **{
                METRICS[name].spec.heading: "" if value is None else f"{value:.4g}"
                for name, value in line.metrics.items()
            },
            "seeds": ", ".join(map(str, line.seeds)),
            "": f"{PUBLISHED} [{cited.index(line.published) + 1}]" if line.published else "",
        }
        for line in lines
    ]


def citations(lines: Iterable[Line]) -> list[str]:
    """Every citation once, in the order of the lines."""
    return list(dict.fromkeys(line.published for line in lines if line.published))


def published_boards(dataset: str | None = None, split: str | None = None) -> list[PublishedBoard]:
    """Return what was published for each protocol, or only for a data set or split scheme."""
    return [
        _board(card)
        for card in list_protocols()
        if card.published and dataset in (None, card.dataset) and split in (None, card.split)
    ]


def _board(card: ProtocolCard) -> PublishedBoard:
    fewer = (
        [
            f"The published means are over the {card.most_variable:,} genes that vary most over control and "
            "test cells, the rows that were run here over all genes: do not compare them."
        ]
        if card.most_variable
        else []
    )
    return PublishedBoard(
        dataset=card.dataset,
        split=card.split,
        title=card.title,
        remarks=(*fewer, *([card.notes] if card.notes else [])),
        rows=tuple(
            PublishedRow(
                method=line.method,
                group=line.group,
                metrics={name: value for name, value in line.metrics.items() if value is not None},
                other=line.other,
                source=line.published,
            )
            for line in published_rows(card)
        ),
    )
