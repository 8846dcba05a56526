"""Findings as text: rows for tables on the screen, and a Markdown report."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.studies.network.findings import Findings, Row, written

TITLE = "Does the attention know the regulatory network?"

LEGEND = (
    "AUPRC: average precision, over perturbations their mean, with its 95 % bootstrap interval (1,000 "
    "resamples of regulators for edges, of training perturbations for targets). Chance: a random order. "
    "Difference: AUPRC minus that of the strongest ranking that needs no transformer, chance among them, in "
    "the same resamples. Better, worse, beats: the interval of a difference leaves out 0; for one in twenty "
    "rankings that are equal it does so by luck. Perturbations that share a gene are taken for independent, "
    "so intervals over perturbations are rather too narrow."
)

METHOD = (
    "Edges: all pairs of a regulator of the network and another gene in one ranking, by the mean attention "
    "of control cells (the target reads the regulator) or by the mean magnitude of its change over training "
    "perturbations; beside it the magnitude of Pearson's correlation over training cells.",
    "Targets: for each training perturbation all genes but the perturbed ones in one ranking, by the sum of "
    "magnitudes of the change of the gene's row, or by the magnitude of its change at the perturbed genes; "
    "beside it the magnitude of the change of mean expression. Perturbations with nothing to find are left "
    "out.",
    "Early precision: share of true entries among the first k, k = how many are true (Pratapa et al., Nature "
    "Methods 17, 147, 2020). Ratios over chance divide means by means.",
)


def header(findings: Findings) -> str:
    """Say in one line what was compared with what."""
    settings = ", ".join(f"{name}={value}" for name, value in findings.settings.items()) or "defaults"
    return (
        f"{findings.method} ({settings}) on {findings.dataset}, split {findings.split}, "
        f"seed {findings.seed}; network: {findings.network}"
    )


def about(findings: Findings, question: str) -> str:
    """Say what there is to find, and what is compared with."""
    against = next((row.against for row in findings.rows if row.question == question and row.against), None)
    rest = f"; strongest without a transformer: {against}" if against else ""
    return f"{findings.questions[question]}{rest}"


def table(findings: Findings, question: str) -> list[dict[str, str]]:
    """Return the rows of one question, ready to print."""
    return [_cells(row) for row in findings.rows if row.question == question]


def as_markdown(findings: Findings) -> str:
    """Write the whole report: the answer, a table for each question, how it was measured."""
    provenance = (
        f"{header(findings)}. Method version {findings.method_version}; data {findings.dataset_digest[:10]}, "
        f"split {findings.split_digest[:10]}, network {findings.network_digest[:10]}."
    )
    sections = [f"# {TITLE}", provenance, _list(list(findings.verdicts.values()))]
    for question in findings.questions:
        sections += [
            f"## {question.capitalize()}",
            about(findings, question) + ".",
            _grid(table(findings, question)),
        ]
    sections += ["## How it was measured", LEGEND, _list(METHOD)]
    return "\n\n".join(sections) + "\n"


def _cells(row: Row) -> dict[str, str]:
    if row.auprc is None:
        return {"source": row.source, "AUPRC": "undefined", "why": row.note}
    return {
        "source": row.source,
        "ranking": row.ranking,
        "AUPRC": written(row.auprc),
        "over chance": f"{row.auprc_ratio:.2f}",
        "early precision": f"{row.early_precision:.3f}",
        "early over chance": f"{row.early_ratio:.2f}",
        "difference": written(row.difference, "+"),
        "verdict": row.verdict or "",
        "beats": "; ".join(row.beats),
    }


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _grid(rows: Sequence[dict[str, str]]) -> str:
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
