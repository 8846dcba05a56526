"""``benchmark metrics``: what is measured, and what each number means."""

from __future__ import annotations

import json as json_module
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli import options
from benchmark.cli.listings import show
from benchmark.errors import unknown

if TYPE_CHECKING:
    from benchmark.evaluation.metrics import MetricSpec

BETTER = {True: "higher", False: "lower", None: "neither"}
SPOKEN = {True: "yes", False: "no", None: "neither, it describes and does not judge"}


def metrics(
    name: Annotated[str | None, typer.Argument(help="Show the whole declaration of this metric.")] = None,
    json: options.AsJson = False,
) -> None:
    """List the metrics, or declare one: formula, range, gene set, reference, what NaN means."""
    from benchmark.evaluation.metrics import METRICS

    if name is None:
        show([_row(declared.spec) for declared in METRICS.values()], json)
        return
    known = {alias: own for own, declared in METRICS.items() for alias in (own, *declared.spec.aliases)}
    if name not in known:
        raise unknown("metric", name, METRICS, "`python -m benchmark metrics` lists them")
    spec = METRICS[known[name]].spec
    if json:
        print(json_module.dumps(_declaration(spec), indent=1))
        return
    said = {"range": "{:g} to {:g}".format(*spec.range), "aliases": ", ".join(spec.aliases) or "none"}
    for field, value in {**asdict(spec), **said}.items():
        print(f"{field.replace('_', ' ')}: {value if isinstance(value, str) else _said(value)}")


def _said(value: float | bool | None) -> str:
    """A number as it is, whatever else as a word."""
    return f"{value:g}" if isinstance(value, float) else SPOKEN[value]


def _row(spec: MetricSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "family": spec.family,
        "better": BETTER[spec.higher_is_better],
        "headline": SPOKEN[spec.headline],
        "needs": spec.needs,
    }


def _declaration(spec: MetricSpec) -> dict[str, Any]:
    """All fields; a bound that is infinite is None, because JSON has no infinity."""
    bounds = [bound if math.isfinite(bound) else None for bound in spec.range]
    return {**asdict(spec), "range": bounds, "best": spec.best}
