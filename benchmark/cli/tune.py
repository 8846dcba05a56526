"""``benchmark tune``: the hyper-parameters of a method, chosen on validation perturbations."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli import options

if TYPE_CHECKING:
    from benchmark.tuning.tune import Tuned


@options.reads_files
def tune(
    method: Annotated[str, typer.Option(help="Name of a method, or path/to/file.py:Class.")],
    dataset: Annotated[str, typer.Option(help="Name of a data set, or path to an .h5ad file.")] = "simulated",
    split: options.Scheme = "doubles",
    seed: Annotated[int, typer.Option(help="Which frozen split, and the seed of all draws.", min=0)] = 0,
    trials: Annotated[int, typer.Option(help="Configurations in all, those of earlier calls included.")] = 50,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="None is begun after so many seconds.")
    ] = None,
    objective: Annotated[
        str, typer.Option(metavar="NAME", help="mean_rank (among the baselines), or a metric.")
    ] = "mean_rank",
    preset: Annotated[
        str | None, typer.Option(help="A named set of hyper-parameters, which are kept.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="One hyper-parameter that is kept; repeatable."),
    ] = None,
    storage: Annotated[
        str | None, typer.Option(metavar="URL", help="Database of the study; else tuning.db in the project.")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes that try configurations at once.")] = 1,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="The best configuration; else below configs/.")
    ] = None,
    device: options.Device = "auto",
    json: options.AsJson = False,
    *,
    columns: Mapping[str, Any],
) -> None:
    """Choose hyper-parameters on the validation perturbations; the same command again goes on."""
    from benchmark.cli.screen import ProgressBars
    from benchmark.machine.progress import report_to
    from benchmark.tuning.plan import Plan
    from benchmark.tuning.tune import tune as tune_plan

    plan = Plan(
        method=method,
        dataset=dataset,
        split=split,
        seed=seed,
        preset=preset,
        settings=options.read_settings(set_),
        trials=trials,
        timeout=timeout,
        objective=objective,
        storage=storage,
        jobs=jobs,
        device=device,
        columns=columns,
        output=output,
    )
    with report_to(ProgressBars()), redirect_stdout(sys.stderr):
        tuned = tune_plan(plan)
    if json:
        about = {
            "file": str(tuned.file),
            "configuration": tuned.configuration.model_dump(mode="json"),
            "trials": dict(tuned.states),
            "failures": {str(number): reason for number, reason in tuned.failures.items()},
        }
        print(json_module.dumps(about, indent=1))
        return
    _print(tuned)


def _print(tuned: Tuned) -> None:
    from benchmark.cli.screen import print_table

    best = tuned.configuration
    shown = [(best.objective, (best.default_value, best.value)), *tuned.changed.items()]
    rows = [{"": name, "default": _text(usual), "best": _text(value)} for name, (usual, value) in shown]
    print(f"{best.method} on {best.dataset}, split {best.split}, seed {best.seed}")
    print_table(rows)
    if not tuned.changed:
        print("Nothing was better than the default.")
    states = ", ".join(f"{count} {state}" for state, count in sorted(tuned.states.items()))
    print(
        f"{best.trials} configurations ({states}) in {best.seconds:.1f} s, "
        f"valued on {len(best.tuned_on)} validation perturbations"
    )
    for number, reason in tuned.failures.items():
        print(f"  trial {number} failed: {reason}")
    print(f"The best is in {tuned.file}, for `run --config`.")


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
