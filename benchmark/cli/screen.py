"""What people see: progress bars on stderr, results as tables on stdout."""

from __future__ import annotations

import math
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from benchmark.cli.lines import filled
from benchmark.evaluation.controls import about_controls
from benchmark.evaluation.metrics import METRICS
from benchmark.machine.progress import Stage
from benchmark.records.record import Record, Summary, device_label

WIDTH_OF_A_FILE = 160

LITTLE = 0.05
"""Part of an error that the noise of drawing cells may be without a word."""


class ProgressBars:
    """A reporter that draws a bar with the time left, or prints one line per stage where stderr is a file."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Stage]:
        """Draw one stage."""
        start = time.perf_counter()
        columns = (
            TextColumn("{task.description:<26}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[values]}"),
        )
        with Progress(*columns, console=self._console, disable=not self._console.is_terminal) as progress:
            bar = _Bar(progress, progress.add_task(name, total=total, values=""))
            yield bar
        if not self._console.is_terminal:
            seconds = time.perf_counter() - start
            print(
                f"{name}: {total} steps, {seconds:.1f} s {bar.values}".rstrip(), file=sys.stderr, flush=True
            )


class _Bar:
    def __init__(self, progress: Progress, task: Any) -> None:
        self._progress, self._task = progress, task
        self.values = ""

    def advance(self, steps: int = 1, **values: float) -> None:
        """Move the bar and show the newest values beside it."""
        if values:
            self.values = " ".join(f"{name} {value:.4g}" for name, value in values.items())
        self._progress.update(self._task, advance=steps, values=self.values)


def print_table(rows: list[dict[str, Any]], title: str = "", close: bool = False) -> None:
    """Print rows as a table whose columns are the keys of the first row; close: without lines between.

    A narrow terminal gets it without lines; one too narrow for the longest words a paragraph for each row.
    """
    console = Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE)
    headings = [
        column if close else column.replace("_", " ") for column in (rows[0] if rows else ["nothing"])
    ]
    cells = [["" if value is None else str(value) for value in row.values()] for row in rows]
    longest = [
        max(len(word) for text in column for word in (*text.split(), ""))
        for column in zip(headings, *cells, strict=True)
    ]
    close = close or sum(longest) + 3 * len(longest) + 1 > console.width
    if close and sum(longest) + len(longest) + 1 > console.width:
        _print_paragraphs(headings, cells, title, console.width)
        return
    look: dict[str, Any] = {"box": SIMPLE_HEAD, "padding": 0, "pad_edge": False} if close else {}
    table = Table(title=title or None, title_justify="left", **look)
    for heading, width in zip(headings, longest, strict=True):
        table.add_column(heading, min_width=width)
    for row in cells:
        table.add_row(*row)
    console.print(table, markup=False)


def _print_paragraphs(
    headings: Sequence[str], cells: Sequence[Sequence[str]], title: str, width: int
) -> None:
    """Print each row as its first cell, and below it the others with what they are called."""
    if title:
        print(title)
    for row in cells:
        print(row[0])
        for heading, text in zip(headings[1:], row[1:], strict=True):
            if text:
                print(filled(f"{heading}: {' '.join(text.split())}", width, "  ", "    "))


def print_metrics(metrics: Mapping[str, Summary], who: str) -> None:
    """Print the means of metrics, and which ones do not apply or were not known when they were taken."""
    print_table(
        [
            {
                "metric": ", ".join([METRICS[name].spec.heading if name in METRICS else name, *others]),
                "mean": "undefined" if summary.mean is None else f"{summary.mean:.4f}",
                "perturbations": summary.n,
                "undefined": summary.missing or "",
            }
            for name, summary, others in _once(metrics)
        ]
    )
    absent = {name: declared.spec.needs for name, declared in METRICS.items() if name not in metrics}
    of_cells = [name for name, needs in absent.items() if needs == "cells"]
    if of_cells and not any(METRICS[name].spec.needs == "cells" for name in metrics if name in METRICS):
        print(f"not applicable, as {who} predicts means and not single cells: {', '.join(of_cells)}")
    if "mean" in absent.values() or metrics.keys() - METRICS.keys():
        print("Metrics have been added or removed since; `python -m benchmark rescore` computes them anew.")


def _once(metrics: Mapping[str, Summary]) -> list[tuple[str, Summary, list[str]]]:
    """Metrics that differ by a number of genes, and came to the same because there are not so many, once."""
    found: dict[tuple[Any, ...], tuple[str, Summary, list[str]]] = {}
    for name, summary in metrics.items():
        stem = re.sub(r"_\d+$", "", name)
        alike = (stem if stem != name else f"{name}_", *summary.model_dump().values())
        if alike in found:
            found[alike][2].append(name.removeprefix(stem))
        else:
            found[alike] = (name, summary, [])
    return list(found.values())


def print_record(record: Record, done_now: bool, scores: Callable[[Record], None] | None = None) -> None:
    """Print the scores of a run, all of them unless `scores` prints them, and where its record is."""
    at = record.coordinates
    print(f"{at.method} ({at.configuration}) on {at.dataset}, split {at.split}, seed {at.seed}")
    if scores is None:
        print_metrics(record.metrics, at.method)
    else:
        scores(record)
    samples = "" if at.samples == 1 else f" ({at.samples} samples for each of {at.cells} control cells)"
    archive = f"; archive {record.archive_mb:.1f} MB" if record.archive else ""
    _say(
        f"{_cost(record)}{at.cells * at.samples} predicted cells per perturbation{samples}; "
        f"coverage {record.coverage:.0%}{archive}"
    )
    if record.controls:
        _say(about_controls(record.controls))
    if record.sampling_noise:
        _say(_about_sampling(record))
    for label, reason in record.fallbacks.items():
        _say(f"  {label} was refused, and the train mean scored in its place: {reason}")
    if scores is not None:
        _say(f"every metric: the same with --all; pictures: `python -m benchmark report {record.run_id[:8]}`")
    if not done_now:
        print(f"This run was done on {record.started}; --force repeats it.")
    print(f"run {record.run_id}")


def _say(text: str) -> None:
    """Print a sentence, in a terminal with lines between words."""
    print(filled(text, others="  ") if sys.stdout.isatty() else text)


def _about_sampling(record: Record) -> str:
    """Say what drawing cells adds to the error of a mean, and how many would make it little."""
    noise, mse = record.sampling_noise or 0.0, record.metrics["mse"].mean or 0.0
    said = f"{record.coordinates.method} draws its cells, which adds {noise:.2g} to the mse"
    cells = record.coordinates.cells
    enough = math.ceil(cells * noise / (LITTLE * mse)) if mse else cells
    if enough <= cells:
        return said
    there = record.controls.get("given", record.controls.get("shared", cells))
    option, but = ("--cells ", "") if enough <= there else ("", f", but there are only {there} control cells")
    return f"{said}; {option}{enough} would make that less than {LITTLE:.0%} of it{but}"


def _cost(record: Record) -> str:
    """Time, memory and device; nothing for predictions that came from elsewhere."""
    parts = ", ".join(f"{name} {value:.1f}" for name, value in record.seconds.items() if name != "total")
    if not parts:
        return ""
    total, memory = record.seconds["total"], record.peak_memory_mb
    count = record.coordinates.devices
    device = device_label(record.device, record.threads)
    device = device if count == 1 else f"{count} x {device}"
    return f"{total:.1f} s ({parts}), {memory:.0f} MB at most, {device}; "
