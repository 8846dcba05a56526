"""Every ranking beside the strongest one that needs no transformer, with intervals of the difference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel

from benchmark.evaluation.statistics import CONFIDENCE
from benchmark.studies.network.questions import Question, Score
from benchmark.studies.network.rankings import Rankings

FEWEST_UNITS = 5
EXPRESSION = "expression"
CHANCE, RANDOM_ORDER = "chance", "random order"

Verdict = Literal["better", "worse", "undecided", "too few"]


class Interval(BaseModel):
    """A value with its 95 % bootstrap interval; None where fewer than 5 units could be resampled."""

    value: float
    low: float | None
    high: float | None


class Row(BaseModel):
    """One ranking on one question.

    Attributes
    ----------
    question
        What is looked for.
    source
        The attention source; "expression" for rankings without a transformer, "chance" for a random one.
    ranking
        What is ranked by; empty where the question cannot be asked.
    auprc, auprc_ratio
        Average precision, and over that of a random ranking; None where the question cannot be asked.
    early_precision, early_ratio
        Early precision, and over that of a random ranking.
    differences
        Ranking without a transformer -> average precision minus its own, in the same resamples; for the
        rankings of attention alone.
    against
        The strongest ranking without a transformer.
    verdict
        Whether the interval of the difference to `against` is above 0 ("better"), below ("worse") or neither.
    note
        Why nothing could be computed.
    """

    question: str
    source: str
    ranking: str = ""
    auprc: Interval | None = None
    auprc_ratio: float | None = None
    early_precision: float | None = None
    early_ratio: float | None = None
    differences: dict[str, Interval] = {}
    against: str | None = None
    verdict: Verdict | None = None
    note: str = ""

    @property
    def difference(self) -> Interval | None:
        """The difference to the strongest ranking without a transformer."""
        return None if self.against is None else self.differences[self.against]

    @property
    def beats(self) -> list[str]:
        """The rankings without a transformer that this one is better than."""
        return [name for name, found in self.differences.items() if verdict(found) == "better"]


class Findings(BaseModel):
    """What the command found, with all that is needed to find it again.

    Attributes
    ----------
    questions
        Question -> what there is to find.
    verdicts
        Source -> in one line, whether its attention beats what needs no transformer.
    """

    method: str
    method_version: str
    settings: dict[str, Any]
    dataset: str
    dataset_digest: str
    split: str
    split_digest: str
    seed: int
    network: str
    network_digest: str
    questions: dict[str, str]
    rows: list[Row]
    verdicts: dict[str, str]


def compare(
    questions: Sequence[Question],
    sources: Sequence[str],
    attention: Mapping[str, Rankings],
    expression: Rankings | None,
) -> list[Row]:
    """Score all rankings on all questions.

    Parameters
    ----------
    questions
        What is asked.
    sources
        Names of the attention sources.
    attention
        Their rankings; may be empty, with `expression` None, where no question can be asked.
    expression
        The rankings that need no transformer.
    """
    rows: list[Row] = []
    for question in questions:
        if question.why_not or expression is None:
            names = (*sources, EXPRESSION, CHANCE)
            rows += [Row(question=question.name, source=name, note=question.why_not) for name in names]
        else:
            rows += _rows(question, attention, expression)
    return rows


def _rows(question: Question, attention: Mapping[str, Rankings], expression: Rankings) -> Iterator[Row]:
    chance = question.chance()
    plain = {name: question.score(values) for name, values in question.rankings_of(expression).items()}
    rivals = {**plain, RANDOM_ORDER: chance}
    against = max(rivals, key=lambda name: rivals[name].auprc)
    for source, contender in attention.items():
        for ranking, values in question.rankings_of(contender).items():
            score = question.score(values)
            differences = {
                name: _interval(score.auprc - rival.auprc, score.draws - rival.draws, question)
                for name, rival in rivals.items()
            }
            row = _row(question, source, ranking, score, chance)
            compared = {"differences": differences, "against": against}
            yield row.model_copy(update={**compared, "verdict": verdict(differences[against])})
    for ranking, score in plain.items():
        yield _row(question, EXPRESSION, ranking, score, chance)
    yield _row(question, CHANCE, RANDOM_ORDER, chance, chance)


def _row(question: Question, source: str, ranking: str, score: Score, chance: Score) -> Row:
    return Row(
        question=question.name,
        source=source,
        ranking=ranking,
        auprc=_interval(score.auprc, score.draws, question),
        auprc_ratio=score.auprc / chance.auprc,
        early_precision=score.early,
        early_ratio=score.early / chance.early,
    )


def _interval(value: float, draws: np.ndarray, question: Question) -> Interval:
    if question.size < FEWEST_UNITS:
        return Interval(value=value, low=None, high=None)
    low, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(value=value, low=float(low), high=float(high))


def verdict(difference: Interval) -> Verdict:
    """Say whether an interval lies above 0, below, or holds it."""
    if difference.low is None or difference.high is None:
        return "too few"
    if difference.low > 0:
        return "better"
    return "worse" if difference.high < 0 else "undecided"


def sentence(source: str, rows: Sequence[Row]) -> str:
    """Say in one line whether the attention of a source beats what needs no transformer."""
    judged = [row for row in rows if row.source == source and row.difference is not None]
    if not judged:
        return f"{source}: nothing could be asked."
    better = sum(row.verdict == "better" for row in judged)
    chance = sum(RANDOM_ORDER in row.beats for row in judged)
    return (
        f"{source}: better than chance in {chance} of {len(judged)} rankings, "
        f"better than all that needs no transformer in {better}."
    )


def written(found: Interval | None, sign: str = "") -> str:
    """Write a value with its interval, to four digits where all are small; with "+", always with a sign."""
    if found is None:
        return ""
    numbers = [number for number in (found.value, found.low, found.high) if number is not None]
    digits = 4 if max(map(abs, numbers)) < 0.1 else 3
    value, *ends = (f"{number:{sign}.{digits}f}" for number in numbers)
    return f"{value} [{', '.join(ends)}]" if ends else value
