"""``benchmark splits``: make, list and check frozen splits."""

from __future__ import annotations

import json as json_module
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from benchmark.cli import options
from benchmark.cli.listings import show
from benchmark.errors import BenchmarkError

app = typer.Typer(
    help="List, make and check frozen splits.", invoke_without_command=True, rich_markup_mode=None
)

Dataset = Annotated[str, typer.Option(help="Name of a data set, or path to an .h5ad file.")]
Seed = Annotated[int, typer.Option(help="Seed of the split.", min=0)]
TestShare = Annotated[
    float | None,
    typer.Option(help="Part that is held out: of pairs, or with singles of genes perturbed alone."),
]
ValidationShare = Annotated[float | None, typer.Option(help="Part for validation.")]


@app.callback()
def splits(context: typer.Context, json: options.AsJson = False) -> None:
    """List, make and check frozen splits."""
    if context.invoked_subcommand is None:
        show_splits(json)


@app.command("list")
@options.reads_files
def list_(
    json: options.AsJson = False,
    *,
    dataset: Annotated[str | None, typer.Option(help="Only those of a data set, by name or path.")] = None,
    columns: Mapping[str, Any],
) -> None:
    """List the frozen splits: how many perturbations each part has."""
    from benchmark.data.dataset import find_dataset

    show_splits(json, None if dataset is None else find_dataset(dataset, **columns).name)


def show_splits(json: bool, name: str | None = None) -> None:
    """Show the frozen splits, of all data sets or of one."""
    from benchmark.splits import list_splits

    show(
        [
            {
                "dataset": split.dataset,
                "split": split.scheme,
                "seed": split.seed,
                "train": len(split.train),
                "validation": len(split.validation),
                "test": len(split.test),
                "groups": ", ".join(sorted(set(split.groups.values()))),
                "digest": split.digest[:10],
            }
            for split in list_splits()
            if name in (None, split.dataset)
        ],
        json,
    )


@app.command()
@options.reads_files
def make(
    dataset: Dataset = "simulated",
    split: options.Scheme = "doubles",
    seed: Seed = 0,
    test_share: TestShare = None,
    validation_share: ValidationShare = None,
    json: options.AsJson = False,
    *,
    columns: Mapping[str, Any],
) -> None:
    """Draw a split and freeze it, or freeze lists of your own; one that is frozen already stays as it is."""
    from benchmark.data import load_dataset
    from benchmark.splits import adjusted, load_split

    cells = load_dataset(dataset, **columns)
    made = load_split(cells, adjusted(cells, split, seed, test_share, validation_share), seed)
    if json:
        parts = {part: len(getattr(made, part)) for part in ("train", "validation", "test")}
        about = {"dataset": made.dataset, "split": made.scheme, "seed": made.seed, "digest": made.digest}
        print(json_module.dumps({**about, **parts}, indent=1))
        return
    print(
        f"{made.dataset} {made.scheme}-{made.seed}: "
        f"{len(made.train)} train, {len(made.validation)} validation, "
        f"{len(made.test)} test perturbations; digest {made.digest[:10]}"
    )
    if made.scheme != split:
        print(f"--split {made.scheme} names it")


@app.command()
@options.reads_files
def check(
    dataset: Dataset = "simulated",
    split: options.Scheme = "doubles",
    seed: Seed = 0,
    test_share: TestShare = None,
    validation_share: ValidationShare = None,
    json: options.AsJson = False,
    *,
    columns: Mapping[str, Any],
) -> None:
    """Check a frozen split against its data set, and that no test cell reaches a method."""
    from benchmark.data import load_dataset
    from benchmark.evaluation.leaks import examine
    from benchmark.splits import adjusted, check_split, frozen_file, read_split, scheme_called

    cells = load_dataset(dataset, **columns)
    split = adjusted(cells, split, seed, test_share, validation_share)
    path = frozen_file(cells, split, seed)
    if path is None:
        raise BenchmarkError(
            f"There is no frozen split {split}-{seed} of {cells.name}; "
            "`python -m benchmark splits make` with the same options makes it."
        )
    frozen = read_split(path)
    name = f"{cells.name} {frozen.scheme}-{frozen.seed}"
    problems = check_split(frozen, cells)
    if not problems:
        drawn = (
            "its scheme draws these parts from these data"
            if scheme_called(frozen.scheme) is not None
            else "its lists fit the data"
        )
        findings = examine(cells, frozen)
        if not json:
            print(f"split: its digest is right, and {drawn}")
            for finding in findings:
                print(f"{finding.subject}: {finding.sentence}")
        problems = [f"{finding.subject}: {finding.sentence}" for finding in findings if finding.is_leak]
    if problems:
        raise BenchmarkError(
            f"The split {frozen.scheme}-{seed} of {cells.name} is not sound: {'; '.join(problems)}."
        )
    if json:
        said = {finding.subject: finding.sentence for finding in findings}
        print(json_module.dumps({"split": name, "sound": True, "findings": said}, indent=1))
    else:
        print(f"{name}: sound")
