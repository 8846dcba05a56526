"""The report in Markdown: the criteria first, then what came out, then how it was made."""

from __future__ import annotations

from pathlib import Path

from benchmark.machine.paths import replacing
from benchmark.studies.order.answer import answer
from benchmark.studies.order.criteria import criteria
from benchmark.studies.order.figure import draw
from benchmark.studies.order.findings import Findings
from benchmark.studies.order.provenance import provenance
from benchmark.studies.order.tables import beside, differences, means


def write_report(findings: Findings, path: Path) -> None:
    """Write the report, and its figure beside it with the ending ``.png``; each whole or not at all."""
    picture = path.with_suffix(".png")
    if findings.comparisons:
        with replacing(picture) as draft:
            draw(findings.comparisons, draft, title(findings))
    with replacing(path) as draft:
        draft.write_text(as_markdown(findings, path), encoding="utf-8")


def as_markdown(findings: Findings, path: Path) -> str:
    """Write the whole report that will be the file `path`, beside its figure."""
    sections = [
        f"# {title(findings)}",
        criteria(findings.plan),
        answer(findings),
        _missing(findings),
        differences(findings, path.with_suffix(".png").name),
        beside(findings),
        means(findings),
        _network(findings, path),
        provenance(findings),
    ]
    return "\n\n".join(filter(None, sections)) + "\n"


def title(findings: Findings) -> str:
    """What the report is about."""
    task = findings.plan.trainings[0].task
    return f"Does the change of the network come first? {task.dataset.name}, split {task.split.scheme}"


def _missing(findings: Findings) -> str:
    if not findings.missing:
        return ""
    lines = ["## What is missing", "", "The same command makes what is missing, and nothing else:", ""]
    lines += [f"- {each.prediction.label}: {each.reason}" for each in findings.missing]
    return "\n".join(lines)


def _network(findings: Findings, path: Path) -> str:
    """Point to the other half of the question: whether the attention knows the network at all."""
    name = findings.plan.trainings[0].task.dataset.name
    report = path.with_name(f"network-{name}.md")
    known = f"[{report.name}]({report.name})" if report.exists() else "no report here yet"
    return (
        "## Does the attention know the network?\n\n"
        f"What each attention source says of the true edges and targets: {known}; "
        f"`python -m benchmark network --dataset {name} --output {report.name}` makes it."
    )
