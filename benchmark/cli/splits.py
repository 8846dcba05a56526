"""``benchmark splits``: make, list and check frozen splits."""

from __future__ import annotations

from typing import Annotated

import typer

from benchmark.cli.listings import AsJson, show
from benchmark.errors import BenchmarkError

app = typer.Typer(
    help="List, make and check frozen splits.", invoke_without_command=True, rich_markup_mode=None
)

Dataset = Annotated[str, typer.Option(help="Name of a data set.")]
Scheme = Annotated[str, typer.Option("--split", help="Split scheme.")]
Seed = Annotated[int, typer.Option(help="Seed of the split.", min=0)]


@app.callback()
def splits(context: typer.Context, json: AsJson = False) -> None:
    """List, make and check frozen splits."""
    if context.invoked_subcommand is None:
        list_(json)


@app.command("list")
def list_(json: AsJson = False) -> None:
    """List the frozen splits: how many perturbations each part has."""
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
        ],
        json,
    )


@app.command()
def make(dataset: Dataset = "simulated", split: Scheme = "doubles", seed: Seed = 0) -> None:
    """Draw a split and freeze it; one that is frozen already stays as it is."""
    from benchmark.data import load_dataset
    from benchmark.splits import load_split

    made = load_split(load_dataset(dataset), split, seed)
    print(
        f"{made.dataset} {made.scheme}-{made.seed}: "
        f"{len(made.train)} train, {len(made.validation)} validation, "
        f"{len(made.test)} test perturbations; digest {made.digest[:10]}"
    )


@app.command()
def check(dataset: Dataset = "simulated", split: Scheme = "doubles", seed: Seed = 0) -> None:
    """Check a frozen split against its data set, and that no test cell reaches a method."""
    from benchmark.data import load_dataset
    from benchmark.evaluation.leaks import examine
    from benchmark.splits import check_split, read_split, split_file

    path = split_file(dataset, split, seed)
    if path is None:
        raise BenchmarkError(
            f"There is no frozen split {split}-{seed} of {dataset}; "
            "`python -m benchmark splits make` makes it."
        )
    frozen, cells = read_split(path), load_dataset(dataset)
    problems = check_split(frozen, cells)
    if not problems:
        print("split: its digest is right, and its scheme draws these parts from these data")
        findings = examine(cells, frozen)
        for finding in findings:
            print(f"{finding.subject}: {finding.sentence}")
        problems = [f"{finding.subject}: {finding.sentence}" for finding in findings if finding.is_leak]
    if problems:
        raise BenchmarkError(f"The split {split}-{seed} of {dataset} is not sound: {'; '.join(problems)}.")
    print(f"{dataset} {split}-{seed}: sound")
