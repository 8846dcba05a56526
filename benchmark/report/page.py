"""A report as one HTML page that needs no other file."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

from benchmark.board import HEADLINE
from benchmark.metrics import METRICS
from benchmark.record import Record
from benchmark.report.draw import Drawn

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
img { max-width: 100%; height: auto; background: white; border-radius: 4px; }
.table { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #8886; }
td { vertical-align: top; }
td { overflow-wrap: anywhere; } .out { opacity: .8; } figure { margin: 0; }
"""


def as_html(record: Record, drawn: Sequence[Drawn], notes: Sequence[str]) -> str:
    """Write the page: what was run, what it scored, the pictures, and what was left out and why."""
    at = record.coordinates
    title = f"{at.method} ({at.configuration}) on {at.dataset}, split {at.split}-{at.seed}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        *(f"<p>{escape(note)}</p>" for note in notes),
        _table(_coordinates(record), ("what", "value")),
        "<h2>Scores</h2>",
        _table(_scores(record), ("metric", "mean over test perturbations", "perturbations")),
        *(_section(each) for each in drawn),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
    )


def _section(each: Drawn) -> str:
    picture = each.picture
    heading = f'<h2 id="{picture.name}">{escape(picture.title)}</h2>'
    if not each.png:
        return f'{heading}\n<p class="out">Left out: {escape(each.left_out)}</p>'
    data = base64.b64encode(each.png).decode()
    return (
        f'{heading}\n<figure><img alt="{escape(picture.title)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(picture.reading)}</figcaption></figure>"
    )


def _coordinates(record: Record) -> list[tuple[str, ...]]:
    at = record.coordinates
    return [
        ("run", record.run_id),
        ("done", f"{record.started}, on {record.device}, {record.seconds['total']:.1f} s"),
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


def _table(rows: Sequence[tuple[str, ...]], heads: tuple[str, ...]) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
