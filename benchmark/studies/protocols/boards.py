"""Published rows for the page of the leaderboard, which knows nothing of protocols."""

from __future__ import annotations

from benchmark.board.page.published import PublishedBoard, PublishedRow
from benchmark.studies.protocols.card import ProtocolCard, list_protocols
from benchmark.studies.protocols.lines import published_rows


def published_boards(dataset: str | None = None, split: str | None = None) -> list[PublishedBoard]:
    """Return what was published for each protocol, or only for a data set or split scheme."""
    return [
        _board(card)
        for card in list_protocols()
        if dataset in (None, card.dataset) and split in (None, card.split)
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
