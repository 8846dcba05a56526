"""Options that several commands take, and how they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from benchmark.data import Dataset

Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="One hyper-parameter; repeatable.")
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Anchors = Annotated[
    bool,
    typer.Option(
        "--anchors/--no-anchors",
        help="Also record no_change, train_mean, additive, limit and ceiling, where they are missing.",
    ),
]
SharedControls = Annotated[
    bool,
    typer.Option(
        "--shared-controls",
        help="Give methods all control cells, also those that real changes are measured against.",
    ),
]
DataOfRuns = Annotated[
    str | None,
    typer.Option("--dataset", metavar="FILE.h5ad", help="The data of the run, where they have no card."),
]
PerturbationColumn = Annotated[str | None, typer.Option(help="For a path: obs column of labels.")]
ControlLabel = Annotated[str | None, typer.Option(help="For a path: label of control cells.")]
Expression = Annotated[str | None, typer.Option(help="For a path: what X holds, counts or log1p.")]
Separator = Annotated[str | None, typer.Option(help="For a path: what stands between two genes.")]


def report_file(output: Path | None, name: str) -> Path:
    """Settle where a report goes, before hours are spent on it; else leaderboard/NAME.md of the project.

    Raises
    ------
    BenchmarkError
        When it has another ending than .md, or its folder is not there.
    """
    from benchmark.machine.paths import project_home

    if output is None:
        return project_home() / "leaderboard" / f"{name}.md"
    if output.suffix != ".md":
        raise BenchmarkError(f"The report is written in Markdown; give {output} a name that ends in .md.")
    if not output.parent.is_dir():
        raise BenchmarkError(f"There is no folder {output.parent} to write {output.name} to; make it first.")
    return output


def given(**options: Any) -> dict[str, Any]:
    """Return the options that were given, by name; the others are None."""
    return {name: value for name, value in options.items() if value is not None}


def names(text: str | None) -> tuple[str, ...]:
    """Read names between commas."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def data_of_runs(file: str | None, columns: Mapping[str, Any]) -> Callable[[str], Dataset]:
    """Return what loads the data of recorded runs: by the name of their card, or a file that was given.

    Raises
    ------
    BenchmarkError
        When options of a file are given without one.
    """
    from benchmark.data import load_dataset

    if file is None:
        if columns:
            raise BenchmarkError(
                "The options of a file were given without one; name it with --dataset FILE.h5ad."
            )
        return load_dataset
    return lambda name: load_dataset(file, **columns)


def read_settings(pairs: list[str] | None) -> dict[str, str]:
    """Read what `--set` was given, as names and texts."""
    settings = {}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise BenchmarkError(f"--set takes NAME=VALUE, not '{pair}'.")
        settings[name.strip()] = value.strip()
    return settings
