"""``benchmark publish``: the records of what stands on the board, as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.errors import BenchmarkError


def publish(
    output: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where to; leaderboard/records of the project unless said."),
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Only runs on this data set.")] = None,
    method: Annotated[str | None, typer.Option(help="Only runs of this method.")] = None,
) -> None:
    """Write the records of finished runs as files, from which `leaderboard --records` makes the board.

    Of runs that differ in nothing but the code that they ran, the newest is written, and replaces one that is
    older. Runs on data sets without a card are left out: nobody else could run them.
    """
    from benchmark.data.cards import list_cards
    from benchmark.machine.paths import project_home
    from benchmark.records.files import newest, read_record, record_path, write_record
    from benchmark.records.tracking import Tracker

    folder = output or project_home() / "leaderboard" / "records"
    tracker, known = Tracker(), {card.name for card in list_cards()}
    runs = [
        run
        for run in newest(tracker.runs())
        if run.tags["dataset"] in known
        and dataset in (None, run.tags["dataset"])
        and method in (None, run.tags["method"])
    ]
    if not runs:
        raise BenchmarkError(
            "No such run has finished; `python -m benchmark leaderboard` shows what there is."
        )
    written = 0
    for run in runs:
        record = tracker.record(run.run_id)
        path = record_path(folder, record.coordinates)
        if not path.is_file() or read_record(path).started <= record.started:
            write_record(record, folder)
            written += 1
    print(f"{written} records written to {folder}; {len(runs) - written} there are newer and were kept")
