"""The report: tables of cost and error, and what follows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmark.board import HEADLINE, Estimate
from benchmark.board.budgets import JUDGED, paired_gains
from benchmark.board.text import markdown_table
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.statistics import interval
from benchmark.machine.paths import replacing
from benchmark.studies.curves.figure import draw
from benchmark.studies.curves.points import Curves, Point


def write_report(curves: Curves, path: Path) -> None:
    """Write the report, and its figure beside it with the ending ``.png``; each whole or not at all."""
    picture = path.with_suffix(".png")
    with replacing(picture) as draft:
        draw(curves, draft)
    with replacing(path) as draft:
        draft.write_text(as_markdown(curves, picture.name), encoding="utf-8")


def as_markdown(curves: Curves, picture: str) -> str:
    """Write the whole report, which shows the file `picture`."""
    asked = curves.asked
    sections = [
        f"# Cost against accuracy: {asked.dataset}, split {Path(asked.split).stem}",
        "Every method at parts and multiples of its own length of training, with all training "
        "perturbations; and at its own length with a part of them, of which a larger one holds every smaller "
        f"one. Means over test perturbations and seeds ({asked.seeds}), with 95 % bootstrap intervals over "
        "perturbations. "
        "Processor seconds are those of training, of all processors together. Simple methods stand beside "
        "with their defaults.",
        f"![Headline metrics against processor seconds, and against the part of the training]({picture})",
        "## What more training buys\n\n" + "\n".join(f"- {line}" for line in conclusions(curves)),
        "## All points\n\n" + _table(curves),
    ]
    if curves.failed:
        sections.append("## What failed\n\n" + "\n".join(f"- {line}" for line in curves.failed))
    return "\n\n".join(sections) + "\n"


def conclusions(curves: Curves) -> Iterator[str]:
    """One sentence for each method, from its largest budget against its own, in the metric that judges."""
    for method, points in curves.points.items():
        own = next((each for each in points if each.budget == each.share == 1), None)
        longer = max((each for each in points if each.budget > 1), key=lambda each: each.budget, default=None)
        if own is None or longer is None:
            yield f"{method}: no longer training to compare with."
            continue
        gains = paired_gains(longer.scores, own.scores)
        if len(gains) < 2:
            yield f"{method}: too few perturbations to compare."
            continue
        low, high = interval(gains)
        figures = f"{gains.mean():+.2g} [{low:+.2g}, {high:+.2g}], positive where longer is better"
        trained = "is **not trained to its end**" if low > 0 else "gains nothing clear"
        yield f"{method} {trained} by {longer.budget:g} times the training: {JUDGED} {figures}."


def _table(curves: Curves) -> str:
    headings = ("method", "budget", "training", "processor seconds", "coverage")
    rows = [
        _row(method, point)
        for method, points in (*curves.points.items(), *((n, [p]) for n, p in curves.references.items()))
        for point in points
    ]
    return markdown_table((*headings, *(METRICS[n].spec.heading for n in HEADLINE)), rows, headings[:1])


def _row(method: str, point: Point) -> tuple[str, ...]:
    seconds = "" if point.processor_seconds is None else f"{point.processor_seconds:.1f}"
    found = point.estimates
    cells = (_written(found[name]) if name in found else "" for name in HEADLINE)
    return (method, f"{point.budget:g}", f"{point.share:.0%}", seconds, f"{point.coverage:.0%}", *cells)


def _written(found: Estimate) -> str:
    if found.mean is None:
        return "undefined"
    return f"{found.mean:.4f}" + (f" [{found.low:.4f}, {found.high:.4f}]" if found.low is not None else "")
