"""``benchmark publish``: the records of what stands on the board, as files."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import options
from benchmark.errors import BenchmarkError


def publish(
    output: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where to; leaderboard/records of the project unless said."),
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Only runs on this data set.")] = None,
    method: Annotated[str | None, typer.Option(help="Only runs of this method.")] = None,
    json: options.AsJson = False,
) -> None:
    """Write the records of finished runs as files, from which `leaderboard --records` makes the board.

    Of runs that differ in nothing but the code that they ran, the newest is written, and replaces one that is
    older. Runs on data sets without a card are left out: nobody else could run them. What is left out is
    counted, with the reason.
    """
    from benchmark.data.cards import list_cards
    from benchmark.machine.paths import project_home
    from benchmark.records.files import newest, read_record, record_path, write_record
    from benchmark.records.lookup import Within
    from benchmark.records.tracking import Tracker

    folder = output or project_home() / "leaderboard" / "records"
    tracker, known = Tracker(), {card.name for card in list_cards()}
    asked = [run for run in tracker.runs() if run in Within(dataset=dataset, method=method)]
    last = newest(asked)
    runs = [run for run in last if run.tags["dataset"] in known]
    finished = sum(run.status == "finished" and run.is_readable for run in asked)
    left_out = {
        "did not finish": sum(run.status != "finished" for run in asked),
        "were recorded by an older version": sum(not run.is_readable for run in asked),
        "were run again since": finished - len(last),
        "are on a data set without a card": len(last) - len(runs),
    }
    if not runs:
        raise BenchmarkError(
            "No such run has finished; `python -m benchmark leaderboard` shows what there is."
        )
    written: list[str] = []
    for run in runs:
        record = tracker.record(run.run_id)
        path = record_path(folder, record.coordinates)
        if not path.is_file() or read_record(path).started <= record.started:
            write_record(record, folder)
            written.append(str(path))
    left_out["are older than the record that is there"] = len(runs) - len(written)
    if json:
        print(json_module.dumps({"written": written, "left_out": left_out}, indent=1))
        return
    said = [f"{count} {reason}" for reason, count in left_out.items() if count]
    rest = len(asked) - len(written)
    print(f"{len(written)} records written to {folder}; of {len(asked)} runs {rest} are left out")
    for line in said:
        print(f"  {line}")
