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
        *_scores(record),
        *(_section(each) for each in drawn if each.png),
        *(html.paragraph(f"Left out: {text}", "out") for text in left_out(drawn)),
    ]
    return html.document(title, parts)


def _section(each: Drawn) -> str:
    picture = each.picture
    return f"{html.heading(each.title, each.file)}\n{html.picture(each.png, each.title, picture.reading)}"


def left_out(drawn: Sequence[Drawn]) -> list[str]:
    """Name what was left out, once for each reason."""
    named: dict[str, list[str]] = {}
    for each in drawn:
        if each.left_out:
            named.setdefault(each.left_out, []).append(each.file)
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


def _scores(record: Record) -> list[str]:
    """The headline metrics, as far as the run has them; of several contexts each, and their mean."""
    names = [name for name in HEADLINE if name in record.metrics]
    if len(record.contexts) < 2:
        rows = [(_way(name), _mean(record, name), str(record.metrics[name].n)) for name in names]
        return [html.table(rows, ("metric", "mean", "perturbations"))]
    parts = [record.of_context(context) for context in record.contexts]
    beside = [(_way(name), *(_mean(part, name) for part in parts), _mean(record, name)) for name in names]
    return [
        html.paragraph("Of each context that was tested, and their mean, in which all have the same weight."),
        html.table(beside, ("metric", *(f"in {context}" for context in record.contexts), "mean")),
    ]


def _way(name: str) -> str:
    return f"{name} ({'higher' if METRICS[name].spec.higher_is_better else 'lower'} is better)"


def _mean(record: Record, name: str) -> str:
    mean = record.metrics[name].mean
    return "undefined" if mean is None else f"{mean:.4f}"
