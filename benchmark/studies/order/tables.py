"""The tables of the report: differences, standing beside simple methods, means."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.board import HEADLINE, Estimate, estimate
from benchmark.board.text import markdown_table
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.statistics import SeedScores
from benchmark.studies.order.arms import NO_LATENT, Arm, Comparison
from benchmark.studies.order.findings import Findings
from benchmark.studies.order.power import smallest_found
from benchmark.studies.order.reading import outcome, read
from benchmark.studies.order.statistics import Difference, scores_of, turned


def differences(findings: Findings, picture: str) -> str:
    """One table per comparison, after the figure of all."""
    sections = ["## Differences"]
    if findings.comparisons:
        sections.append(f"![Mean paired differences with intervals]({picture})")
    for pair, found in findings.comparisons.items():
        note = f"Together: *{outcome(found)}*."
        sections.append(f"### {_spelt_out(pair)}\n\n{_difference_table(found)}\n\n{note}")
    if not findings.comparisons:
        sections.append("No two arms can be compared yet.")
    return "\n\n".join(sections)


def _spelt_out(pair: Comparison) -> str:
    return f"{pair.first.label} against {pair.second.label}"


def _difference_table(found: Sequence[Difference]) -> str:
    headings = (
        *("metric", "mean difference", "smallest found", "p", "corrected p", "better", "worse"),
        *("perturbations", "undefined pairs", "seeds above zero", "reading"),
    )
    rows = [
        (
            turned(each.metric),
            _with_interval(each),
            f"{smallest_found(each.deviation, each.n):.2g}" if each.n > 1 else "",
            f"{each.p:.2g}",
            f"{each.corrected:.2g}",
            f"{each.better:.0%}" if each.n else "",
            f"{each.worse:.0%}" if each.n else "",
            str(each.n),
            str(each.undefined),
            f"{sum(mean > 0 for mean in each.by_seed.values())} of {len(each.by_seed)}",
            read(each),
        )
        for each in found
    ]
    return markdown_table(headings, rows, headings[:1])


def _with_interval(found: Difference) -> str:
    return f"{found.mean:+.3g} [{found.low:+.3g}, {found.high:+.3g}]" if found.n else "undefined"


def beside(findings: Findings) -> str:
    """Tell the standing of every source, which the answer presupposes and the comparisons do not show."""
    rows = [
        (
            source,
            f"`{name}`",
            *(_with_interval(each) for each in found),
            ", ".join(map(str, sorted({seed for each in found for seed in each.by_seed}))),
        )
        for source, by_name in findings.beside.items()
        for name, found in by_name.items()
    ]
    text = (
        "Mean paired differences of `latent_first` of each source from each simple method, counted as above; "
        "positive means: the network is better."
    )
    headings = ("source", "simple method", *(turned(name) for name in HEADLINE), "seeds")
    table = markdown_table(headings, rows, headings[:2])
    shown = f"{text}\n\n{table}" if rows else "No simple method can be compared yet."
    return f"## Where it stands beside simple methods\n\n{shown}"


def means(findings: Findings) -> str:
    """Mean scores of all arms and simple methods."""
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
    plain = findings.plan.without_latent
    if arm != NO_LATENT or plain is None:
        return arm.label
    return f"{arm.label} (`{plain.task.coordinates.method}`)"


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
