"""The answer about each source, with what must hold first and what it rests on."""

from __future__ import annotations

from collections.abc import Iterator

from benchmark.board.text import markdown_table
from benchmark.studies.order.findings import Findings
from benchmark.studies.order.preconditions import NOT_MADE, Precondition
from benchmark.studies.order.reading import in_words
from benchmark.studies.order.verdict import Verdict

STATEMENT = '"Understanding the network\'s change comes first"'


def summary(findings: Findings) -> list[str]:
    """Say the answer of each source in one sentence, with the reason where a precondition is not met."""
    return [_sentence(source, verdict) for source, verdict in findings.verdicts.items()]


def answer(findings: Findings) -> str:
    """The part of the report: answers, preconditions, and the comparisons that decide."""
    rows = [
        (source, each.what, each.figures, _holds(each))
        for source, verdict in findings.verdicts.items()
        for each in verdict.preconditions
    ]
    headings = ("source", "what must hold first", "found", "holds")
    return "\n\n".join(
        [
            "## Answer",
            "\n".join(f"- **{sentence}**" for sentence in summary(findings)),
            markdown_table(headings, rows, headings),
            "What decides where all of this holds:",
            "\n".join(
                line for verdict in findings.verdicts.values() for line in _deciding(findings, verdict)
            ),
        ]
    )


def _sentence(source: str, verdict: Verdict) -> str:
    found = ": ".join(filter(None, (verdict.answer, verdict.reason)))
    return f"{STATEMENT}, with {source} as source, is {found}."


def _holds(precondition: Precondition) -> str:
    return {True: "yes", False: "no", None: "cannot be judged"}[precondition.holds]


def _deciding(findings: Findings, verdict: Verdict) -> Iterator[str]:
    for pair in verdict.outcomes:
        yield f"- {pair.label}: {in_words(findings.comparisons[pair])}"
    for pair in verdict.not_made:
        yield f"- {pair.label}: {NOT_MADE}"
