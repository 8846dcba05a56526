"""Options that several commands take, and how they are read."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from benchmark.data import Dataset
    from benchmark.records.lookup import Within

Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="One hyper-parameter; repeatable.")
]
Scheme = Annotated[
    str, typer.Option("--split", help="Split scheme, auto, or your own lists: FILE.json or FILE.csv.")
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
    typer.Option(
        "--dataset",
        metavar="NAME|FILE.h5ad",
        help="Among runs on this data set; a file where it has no card.",
    ),
]
SplitOfRuns = Annotated[str | None, typer.Option("--split", help="Among runs on this split scheme.")]
SeedOfRuns = Annotated[int | None, typer.Option("--seed", help="Among runs of this seed.")]
MethodOfRuns = Annotated[str | None, typer.Option("--method", help="Among runs of this method.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

Texts = list[str] | None
READING: dict[str, tuple[Any, str]] = {
    "perturbation_column": (str | None, "obs column of labels."),
    "control_label": (Texts, "label of control cells, or a pattern such as 'NT*'; repeatable."),
    "separator": (str | None, "what stands between two genes, + unless said."),
    "expression": (str | None, "what the matrix holds, counts or log1p."),
    "layer": (str | None, "the layer that is read instead of X."),
    "raw": (bool, ".raw is read instead of X."),
    "gene_name_column": (str | None, "var column of gene symbols, where the index has something else."),
    "gene_table": (str | None, "table by which ids become symbols: hgnc, or FILE.tsv|csv of your own."),
    "context_column": (str | None, "obs column of cell lines, donors and the like, where there are several."),
    "batch_column": (str | None, "obs column of batches."),
    "depth_column": (str | None, "obs column of the counts over all genes, kept or not."),
    "collapse_guides": (bool, "labels of guides (KLF1_sg2) are read as their genes."),
    "ignore_case": (bool, "perturbed genes are found also if spelt in other case."),
    "as_labelled": (bool, "labels are genes, also where they look like guides or pairs."),
    "keep": (Texts, "only cells with COLUMN=VALUE in obs; repeatable."),
    "drop": (Texts, "leave out a perturbation, or cells with COLUMN=VALUE; repeatable."),
    "min_cells": (int | None, "leave out perturbations with fewer cells."),
    "max_controls": (int | None, "keep so many control cells, drawn with a fixed seed."),
    "leave_out": (Texts, "triples, empty or unlabelled cells; repeatable."),
    "genes": (str | None, "a list of genes, or hvg:2000, chosen on control cells alone."),
}
"""How a file without a card is read: fields of a card, with their types and help."""

Command = TypeVar("Command", bound=Callable[..., Any])


def reads_files(command: Command) -> Command:
    """Give a command the options that say how a file is read; it gets those that were given as `columns`."""

    @functools.wraps(command)
    def reading(**arguments: Any) -> Any:
        columns = as_reading({name: arguments.pop(name) for name in READING})
        return command(**arguments, columns=columns)

    own = inspect.signature(command, eval_str=True)
    kept = [parameter for parameter in own.parameters.values() if parameter.name != "columns"]
    more = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=False if kind is bool else None,
            annotation=Annotated[kind, typer.Option(*_flag(name, kind), help=f"For a file: {about}")],
        )
        for name, (kind, about) in READING.items()
    ]
    last = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in kept]
    reading.__signature__ = own.replace(parameters=[*last, *more])  # type: ignore[attr-defined]
    reading.__annotations__ = {each.name: each.annotation for each in (*last, *more)}
    del reading.__wrapped__
    return reading  # type: ignore[return-value]


def _flag(name: str, kind: Any) -> tuple[str, ...]:
    return (f"--{name.replace('_', '-')}",) if kind is bool else ()


def as_reading(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a card that options stand for; what was not given is left out."""
    given = {name: value for name, value in options.items() if value not in (None, False, [])}
    for name in ("leave_out", "drop", "keep"):
        if name in given:
            given[name] = tuple(given[name])
    if "control_label" in given:
        labels = given["control_label"]
        given["control_label"] = labels[0] if len(labels) == 1 else tuple(labels)
    return given


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


def runs_on(
    dataset: str | None, split: str | None, seed: int | None, columns: Mapping[str, Any]
) -> tuple[Within, Callable[[str], Dataset]]:
    """Return among which runs one is looked for, and what loads their data: by their card, or from a file.

    Raises
    ------
    BenchmarkError
        When options of a file are given without one.
    """
    from benchmark.data import load_dataset
    from benchmark.data.dataset import find_dataset
    from benchmark.records.lookup import Within

    if dataset is not None and dataset.endswith(".h5ad"):
        found = find_dataset(dataset, **columns)
        within = Within(split=split, seed=seed, dataset_digest=found.digest)
        return within, lambda name: load_dataset(dataset, **columns)
    if columns:
        raise BenchmarkError(
            "The options of a file were given without one; name it with --dataset FILE.h5ad."
        )
    return Within(dataset=dataset, split=split, seed=seed), load_dataset


def read_settings(pairs: list[str] | None) -> dict[str, str]:
    """Read what `--set` was given, as names and texts."""
    settings = {}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise BenchmarkError(f"--set takes NAME=VALUE, not '{pair}'.")
        settings[name.strip()] = value.strip()
    return settings
