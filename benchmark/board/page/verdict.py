"""The short answer of a block: what is best at what, by how much, and whether that means anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmark.board.rows import BESIDE, HEADLINE, Block, Comparison, Row

ALPHA = 0.05
NAMED = 4
"""Rows that a sentence names, at most."""

QUESTIONS = {
    "de_overlap_adjusted": "Finding the genes that respond",
    "direction_balanced": "Getting up and down right",
    "mse": "Predicting expression levels",
    "pearson": "Predicting the pattern of change",
}
"""What each headline metric asks, in plain words; another one is called by its name."""


def verdict(block: Block) -> dict[str, Any]:
    """Say it in sentences: some on the ranks, and some for each headline metric."""
    rows = [row for row in block.rows if row.rank is not None]
    if not rows:
        return {"summary": ["No run of this board has finished with a rank."], "seeds": [], "metrics": []}
    seeds = sorted(set.intersection(*(set(row.seed_list) for row in rows)))
    return {
        "summary": [*_summary(rows, block), *_uneven(rows, seeds)],
        "seeds": seeds,
        "metrics": [_metric(name, rows, block, seeds) for name in HEADLINE],
    }


def is_behind(found: Comparison) -> bool:
    """Whether a row is behind the best one by more than chance would have it.

    The test and the interval must both say so: the test speaks of most perturbations, the interval of the
    mean, which a few of them may turn around.
    """
    if found.corrected is None or found.low is None:
        return False
    return found.corrected < ALPHA and found.low > 0


def _summary(rows: Sequence[Row], block: Block) -> list[str]:
    first, others = rows[0], rows[1:]
    name = block.name(first)
    if not others:
        return [f"{name} is the only ranked row: there is nothing to compare it with."]
    said = f"{name} ranks first of {len(rows)}: mean rank {first.mean_rank:.2f} over the metrics below."
    level = [row for row in others if _reaches(row, first)]
    if level:
        return [
            said,
            f"That it ranks before {_named(level, block)} may be chance: "
            "the intervals of their mean ranks overlap.",
        ]
    if first.mean_rank_high is None:
        return [said, "There are too few perturbations for an interval of it."]
    return [said, "No other row's interval of the mean rank reaches its own."]


def _reaches(row: Row, first: Row) -> bool:
    low, high = row.mean_rank_low, first.mean_rank_high
    return low is not None and high is not None and low <= high


def _uneven(rows: Sequence[Row], seeds: Sequence[int]) -> list[str]:
    """What to know where the table shows means over more than what is compared here."""
    if all(row.seed_list == list(seeds) for row in rows):
        return []
    which = ", ".join(map(str, seeds))
    return [
        f"Rows have different seeds: here they are compared over what all have, seed {which}; "
        "the table has the mean over all seeds of a row."
    ]


def _metric(metric: str, rows: Sequence[Row], block: Block, seeds: Sequence[int]) -> dict[str, Any]:
    """Best row, and what is known of its lead."""
    best = next((row for row in rows if metric in row.best_in), None)
    about: dict[str, Any] = {"metric": metric, "question": QUESTIONS.get(metric, metric)}
    if best is None:
        return about | {"row": None, "lead": "unknown", "sentences": ["It is undefined for all rows."]}
    behind = {id(row): row.behind_best[metric] for row in rows if row is not best}
    others = [row for row in rows if row is not best and behind[id(row)].mean is not None]
    others.sort(key=lambda row: behind[id(row)].mean or 0.0)
    found = about | {"row": block.rows.index(best)} | _lead(others, behind, block, seeds)
    return found | {"sentences": [*found["sentences"], *_beside(metric, [best, *others[:1]], block)]}


def _beside(metric: str, rows: Sequence[Row], block: Block) -> list[str]:
    """What rows have in the metric that stands beside a headline metric."""
    name = BESIDE.get(metric)
    known = [(row, row.metrics[name].mean) for row in rows if name in row.metrics]
    said = [f"{mean:.3g} ({block.name(row)})" for row, mean in known if mean is not None]
    return [f"Without the noise of the real means ({name}): {', '.join(said)}."] if said else []


def _lead(
    others: Sequence[Row], behind: Mapping[int, Comparison], block: Block, seeds: Sequence[int]
) -> dict[str, Any]:
    """How sure it is that the best row is ahead of the others, the nearest first."""
    if not others:
        return {"lead": "alone", "sentences": ["There is no other row to compare it with."]}

    def standing(row: Row) -> str:
        return _standing(block.name(row), behind[id(row)])

    first = behind[id(others[0])]
    if all(behind[id(row)].p is None for row in others):
        said = f"{_capital(standing(others[0]))}, but {first.n} perturbations are too few for a test."
        return {"lead": "untested", "sentences": [said]}
    level = [row for row in others if not is_behind(behind[id(row)])]
    clear = [row for row in others if is_behind(behind[id(row)])]
    if not level:
        said = f"{_capital(standing(clear[0]))}: more than chance, as for all others."
        if len(seeds) > 1:
            return {"lead": "clear", "sentences": [said]}
        # The test speaks of other perturbations, and not of other trainings.
        caution = "All rows were compared in one seed: other trainings may turn this around."
        return {"lead": "single", "sentences": [said, caution]}
    apart = f"not told apart from {_named(level, block)}: " if len(level) > 1 else ""
    sentences = [_capital(f"{apart}{standing(level[0])}, which may be chance.")]
    if clear:
        more = f", and of {len(clear) - 1} more" if len(clear) > 1 else ""
        sentences.append(f"Beyond chance {standing(clear[0])}{more}.")
    return {"lead": "shared", "sentences": sentences}


def _standing(name: str, found: Comparison) -> str:
    """Where the best row stands beside another: behind it, at times, where perturbations are paired."""
    sign = -1 if (found.mean or 0.0) < 0 else 1
    word = "ahead of" if sign > 0 else "behind"
    said = f"{sign * (found.mean or 0.0) + 0.0:.2g}"
    if found.low is not None and found.high is not None and found.corrected is not None:
        low, high = sorted((sign * found.low, sign * found.high))
        p = "p < .001" if found.corrected < 0.001 else f"p = {found.corrected:.2g}"
        said += f" [{low:.2g}, {high:.2g}], {p}"
    paired = ", perturbation by perturbation" if sign < 0 else ""
    return f"{word} {name} by {said.replace('-', '−')}{paired}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _named(rows: Sequence[Row], block: Block) -> str:
    """Some names, and how many more there are."""
    names = [block.name(row) for row in rows]
    if len(names) > NAMED:
        names[NAMED:] = [f"{len(names) - NAMED} more"]
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
