"""The report in Markdown: the criteria first, then what came out, then how it was made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmark.board import HEADLINE, Estimate, estimate
from benchmark.order.criteria import criteria
from benchmark.order.figure import draw
from benchmark.order.findings import Findings, scores_of
from benchmark.order.markdown import heading, table
from benchmark.order.plan import NO_LATENT, Arm, Comparison
from benchmark.order.provenance import provenance
from benchmark.order.statistics import Difference, SeedScores
from benchmark.order.verdict import outcome, read
from benchmark.paths import replacing


def write_report(findings: Findings, path: Path) -> None:
    """Write the report, and its figure beside it with the ending ``.png``; each whole or not at all."""
    picture = path.with_suffix(".png")
    if findings.comparisons:
        with replacing(picture) as draft:
            draw(findings.comparisons, draft, title(findings))
    with replacing(path) as draft:
        draft.write_text(as_markdown(findings, picture.name), encoding="utf-8")


def as_markdown(findings: Findings, picture: str) -> str:
    """Write the whole report; `picture` is the name of the figure's file."""
    sections = [
        f"# {title(findings)}",
        criteria(findings.plan),
        _verdict(findings),
        _missing(findings),
        _comparisons(findings, picture),
        _means(findings),
        provenance(findings),
    ]
    return "\n\n".join(filter(None, sections)) + "\n"


def title(findings: Findings) -> str:
    """What the report is about."""
    experiment = findings.plan.experiment
    name = findings.plan.trainings[0].task.dataset.name
    return f"Does the change of the network come first? {name}, split {experiment.split}"


def summary(findings: Findings) -> str:
    """Say the answer in one sentence."""
    verdict = findings.verdict
    return f'"Understanding the network\'s change comes first" is {verdict.answer}.'


def _verdict(findings: Findings) -> str:
    lines = ["## Answer", "", f"**{summary(findings)}**", ""]
    for pair, found in findings.verdict.outcomes.items():
        readings = [read(each) for each in findings.comparisons[pair]]
        counts = ", ".join(f"{kind} in {readings.count(kind)}" for kind in dict.fromkeys(sorted(readings)))
        lines.append(f"- {pair.label}: *{found}* ({counts})")
    lines += [f"- {pair.label}: not made in every seed" for pair in findings.verdict.not_made]
    return "\n".join(lines)


def _missing(findings: Findings) -> str:
    if not findings.missing:
        return ""
    lines = ["## What is missing", "", "The same command makes what is missing, and nothing else:", ""]
    lines += [f"- {each.prediction.label}: {each.reason}" for each in findings.missing]
    return "\n".join(lines)


def _comparisons(findings: Findings, picture: str) -> str:
    sections = ["## Differences"]
    if findings.comparisons:
        sections.append(f"![Mean paired differences with intervals]({picture})")
    for pair, differences in findings.comparisons.items():
        note = f"Together: *{outcome(differences)}*."
        sections.append(f"### {_spelt_out(pair)}\n\n{_difference_table(differences)}\n\n{note}")
    if not findings.comparisons:
        sections.append("No two arms can be compared yet.")
    return "\n\n".join(sections)


def _spelt_out(pair: Comparison) -> str:
    return f"{pair.first.label} against {pair.second.label}"


def _difference_table(differences: Sequence[Difference]) -> str:
    headings = (
        *("metric", "mean difference", "p", "corrected p", "better", "worse", "perturbations"),
        *("undefined pairs", "seeds above zero", "reading"),
    )
    rows = [
        (
            heading(each.metric),
            f"{each.mean:+.3g} [{each.low:+.3g}, {each.high:+.3g}]" if each.n else "undefined",
            f"{each.p:.2g}",
            f"{each.corrected:.2g}",
            f"{each.better:.0%}" if each.n else "",
            f"{each.worse:.0%}" if each.n else "",
            str(each.n),
            str(each.undefined),
            f"{sum(mean > 0 for mean in each.by_seed.values())} of {len(each.by_seed)}",
            read(each),
        )
        for each in differences
    ]
    return table(headings, rows)


def _means(findings: Findings) -> str:
    rows = [
        _mean_row(_arm_label(arm, findings), {seed: scores_of(record) for seed, record in records.items()})
        for arm, records in findings.records.items()
        if records
    ]
    rows += [_mean_row(f"`{name}`", by_seed) for name, by_seed in findings.references.items()]
    text = (
        "Means over test perturbations and seeds with 95 % bootstrap intervals over perturbations; "
        "†n: undefined for n perturbations, which are left out. "
    )
    if findings.references:
        text += "The simple methods are those with their default configuration on the same splits."
    else:
        text += "No simple method is recorded on these splits."
    headings = ("arm", *(heading(name) for name in HEADLINE), "seeds")
    return f"## Mean scores\n\n{text}\n\n{table(headings, rows)}"


def _arm_label(arm: Arm, findings: Findings) -> str:
    if arm != NO_LATENT:
        return arm.label
    return f"{arm.label} (`{findings.plan.trainings[-1].task.coordinates.method}`)"


def _mean_row(label: str, by_seed: SeedScores) -> tuple[str, ...]:
    found = estimate([by_seed[seed] for seed in sorted(by_seed)])
    cells = (_estimate(found[name]) if name in found else "" for name in HEADLINE)
    return (label, *cells, ", ".join(map(str, sorted(by_seed))))


def _estimate(found: Estimate) -> str:
    if found.mean is None:
        return "undefined"
    dropped = f" †{found.missing}" if found.missing else ""
    return f"{found.mean:.4f} [{found.low:.4f}, {found.high:.4f}]{dropped}"
