"""A report as one HTML page that needs no other file."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.board import HEADLINE
from benchmark.evaluation.metrics import METRICS
from benchmark.records.record import Record, device_label
from benchmark.report import html
from benchmark.report.picture import Drawn


def as_html(record: Record, drawn: Sequence[Drawn], notes: Sequence[str]) -> str:
    """Write the page: what was run, what it scored, the pictures, and what was left out and why."""
    at = record.coordinates
    title = f"{at.method} ({at.configuration}) on {at.dataset}, split {at.split}-{at.seed}"
    parts = [
        *(html.paragraph(note) for note in notes),
        html.table(_coordinates(record), ("what", "value")),
        html.heading("Scores"),
        html.table(_scores(record), ("metric", "mean", "perturbations")),
        *(_section(each) for each in drawn if each.png),
        *(html.paragraph(f"Left out: {text}", "out") for text in left_out(drawn)),
    ]
    return html.document(title, parts)


def _section(each: Drawn) -> str:
    picture = each.picture
    heading = html.heading(picture.title, picture.name)
    return f"{heading}\n{html.picture(each.png, picture.title, picture.reading)}"


def left_out(drawn: Sequence[Drawn]) -> list[str]:
    """Name what was left out, once for each reason."""
    named: dict[str, list[str]] = {}
    for each in drawn:
        if each.left_out:
            named.setdefault(each.left_out, []).append(each.picture.name)
    return [f"{', '.join(names)}: {reason}" for reason, names in named.items()]


def _coordinates(record: Record) -> list[tuple[str, ...]]:
    at, device = record.coordinates, device_label(record.device, record.threads)
    return [
        ("run", record.run_id),
        ("done", f"{record.started}, on {device}, {record.seconds['total']:.1f} s"),
        ("method", f"{at.method}, version {at.method_version}, code {at.source_digest[:12]}"),
        ("hyper-parameters", ", ".join(f"{name}={value}" for name, value in at.config.items()) or "none"),
        ("data", f"{at.dataset}, digest {at.dataset_digest[:12]}"),
        ("split", f"{at.split}, seed {at.seed}, digest {at.split_digest[:12]}"),
        ("cells", f"{at.cells * at.samples} predicted for each perturbation"),
        ("coverage", f"{record.coverage:.0%} of {len(record.perturbations)} test perturbations"),
    ]


def _scores(record: Record) -> list[tuple[str, ...]]:
    """The headline metrics, as far as the run has them."""
    rows: list[tuple[str, ...]] = []
    for name in HEADLINE:
        summary = record.metrics.get(name)
        if summary is not None:
            way = "higher" if METRICS[name].spec.higher_is_better else "lower"
            mean = "undefined" if summary.mean is None else f"{summary.mean:.4f}"
            rows.append((f"{name} ({way} is better)", mean, str(summary.n)))
    return rows
