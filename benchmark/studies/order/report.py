"""The report in Markdown: the criteria first, then what came out, then how it was made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmark.board import HEADLINE, Estimate, estimate
from benchmark.board.text import markdown_table
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.statistics import SeedScores
from benchmark.machine.paths import replacing
from benchmark.studies.order.arms import BASELINE, HYPOTHESIS, NO_LATENT, Arm, Comparison
from benchmark.studies.order.criteria import criteria
from benchmark.studies.order.figure import draw
from benchmark.studies.order.findings import Findings
from benchmark.studies.order.provenance import provenance
from benchmark.studies.order.statistics import Difference, scores_of, turned
from benchmark.studies.order.verdict import outcome, read

NOT_MADE = "not made in every seed"


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
        _verdict(findings),
        _missing(findings),
        _comparisons(findings, path.with_suffix(".png").name),
        _beside(findings),
        _means(findings),
        _network(findings, path),
        provenance(findings),
    ]
    return "\n\n".join(filter(None, sections)) + "\n"


def title(findings: Findings) -> str:
    """What the report is about."""
    experiment = findings.plan.experiment
    name = findings.plan.trainings[0].task.dataset.name
    return f"Does the change of the network come first? {name}, split {experiment.split}"


def summary(findings: Findings) -> str:
    """Say the answer in one sentence, with the reason where the precondition is not met."""
    verdict = findings.verdict
    answer = ": ".join(filter(None, (verdict.answer, verdict.reason)))
    return f'"Understanding the network\'s change comes first" is {answer}.'


def _verdict(findings: Findings) -> str:
    verdict = findings.verdict
    precondition = f"- {HYPOTHESIS.order} − {BASELINE} (precondition): "
    learned = _outcome(findings.beside[BASELINE]) if verdict.learned else NOT_MADE
    lines = ["## Answer", "", f"**{summary(findings)}**", "", precondition + learned]
    lines += [f"- {pair.label}: {_outcome(findings.comparisons[pair])}" for pair in verdict.outcomes]
    lines += [f"- {pair.label}: {NOT_MADE}" for pair in verdict.not_made]
    return "\n".join(lines)


def _outcome(differences: Sequence[Difference]) -> str:
    readings = [read(each) for each in differences]
    counts = ", ".join(f"{kind} in {readings.count(kind)}" for kind in dict.fromkeys(sorted(readings)))
    return f"*{outcome(differences)}* ({counts})"


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
            turned(each.metric),
            _with_interval(each),
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
    return markdown_table(headings, rows, headings[:1])


def _with_interval(found: Difference) -> str:
    return f"{found.mean:+.3g} [{found.low:+.3g}, {found.high:+.3g}]" if found.n else "undefined"


def _beside(findings: Findings) -> str:
    """Tell the network's standing, which the answer presupposes and the comparisons do not show."""
    rows = [
        (
            f"`{name}`",
            *(_with_interval(each) for each in differences),
            ", ".join(map(str, sorted({seed for each in differences for seed in each.by_seed}))),
        )
        for name, differences in findings.beside.items()
    ]
    text = (
        f"Mean paired differences of {HYPOTHESIS.label} from each simple method, counted as above; positive "
        "means: the network is better."
    )
    headings = ("simple method", *(turned(name) for name in HEADLINE), "seeds")
    table = markdown_table(headings, rows, headings[:1])
    shown = f"{text}\n\n{table}" if rows else "No simple method can be compared yet."
    return f"## Where it stands beside simple methods\n\n{shown}"


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
        text += "The simple methods have their default configuration."
    else:
        text += "No simple method is recorded."
    headings = ("arm", *(METRICS[name].spec.heading for name in HEADLINE), "seeds")
    return f"## Mean scores\n\n{text}\n\n{markdown_table(headings, rows, headings[:1])}"


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
    bounds = f"(n {found.n})" if found.low is None else f"[{found.low:.4f}, {found.high:.4f}]"
    return f"{found.mean:.4f} {bounds}{dropped}"
