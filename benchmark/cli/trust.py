"""``benchmark trust``: which metric can tell what on a data set."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark.cli import options
from benchmark.cli.listings import show

COLUMNS = ("train_mean", "duplicate", "bound", "placed", "noise", "sampling", "told", "seeds")
WORDS = (
    "bound: the limit of metrics of means, the replicate ceiling of others. duplicate: the true mean half "
    "way to the control cells, which should score well. placed: where it stands between train mean and "
    "bound. noise: standard error of a perturbation's score. sampling: its part of the variance over "
    "perturbations. told: perturbations whose bound is two of these above the train mean. seeds: how much "
    "a method's mean score differs between trainings, the median of the standard deviations of recorded "
    "methods."
)


def trust(
    dataset: Annotated[str, typer.Option(help="Name of a data set with a card.")] = "simulated",
    split: options.Scheme = "doubles",
    seed: Annotated[int, typer.Option(help="Of the split whose test perturbations are looked at.")] = 0,
    headline: Annotated[
        bool, typer.Option("--headline", help="Show only the metrics that methods are ranked by.")
    ] = False,
    records: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Records that `publish` wrote, instead of the run store."),
    ] = None,
    json: options.AsJson = False,
) -> None:
    """Say of every metric what range, noise and use it has on a data set; keep that for the page."""
    from benchmark.cli.screen import ProgressBars
    from benchmark.data import load_dataset
    from benchmark.evaluation.metrics import headline_metrics
    from benchmark.machine.progress import report_to
    from benchmark.records.files import as_stored, read_records
    from benchmark.records.tracking import Tracker
    from benchmark.splits import load_split
    from benchmark.studies.trust import measure, read_trust, seed_noise, trust_path, write_trust

    data = load_dataset(dataset)
    chosen = load_split(data, split, seed)
    runs = Tracker().runs() if records is None else [as_stored(record) for record in read_records(records)]
    with report_to(ProgressBars()), redirect_stdout(sys.stderr):
        found = measure(data, chosen)
    path = trust_path(data.name, chosen.scheme)
    write_trust(found, seed_noise(runs, data.name, chosen.scheme), path)
    saved = read_trust(data.name, chosen.scheme, data.digest)
    metrics = saved["metrics"] if saved else {}
    names = [name for name in (headline_metrics() if headline else metrics) if name in metrics]
    show([_line(name, metrics[name], json) for name in names], json, f"{data.name}, {chosen.scheme}")
    if not json:
        print(WORDS)
        print(f"Kept for the page in {path}.")


def _line(name: str, row: dict[str, Any], json: bool) -> dict[str, Any]:
    values = {column.replace("_", " "): row[column] for column in COLUMNS}
    if json:
        return {"metric": name, **values}
    return {"metric": name, **{key: "" if value is None else f"{value:.3g}" for key, value in values.items()}}
