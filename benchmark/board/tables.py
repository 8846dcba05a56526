"""The tables of a block as headings and cells of text; a line break stands where a terminal wants one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmark.board.intervals import FEWEST
from benchmark.board.rows import BASELINE, HEADLINE, SHOWN, Block, Comparison, Estimate, Row, Scaled
from benchmark.board.scale import LEAST_RANGE
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.statistics import CONFIDENCE


@dataclass(frozen=True)
class Table:
    """One view of a block.

    Attributes
    ----------
    title
        Its heading.
    reading
        How to read it, in one sentence.
    columns
        Headings.
    rows
        Cells, as many in each row as there are columns; none where the table does not apply.
    absent
        Why there are no rows, where there are none.
    words
        The columns that hold text and not numbers.
    """

    title: str
    reading: str
    columns: tuple[str, ...]
    rows: list[list[str]]
    absent: str
    words: tuple[str, ...] = ("method",)


def scores(block: Block) -> Table:
    """Means with intervals, in the order of mean ranks."""
    headings = ["mean\nrank", "seeds", "cover-\nage", "fall-\nbacks", "sec-\nonds"]
    headings += ["tuned"] if block.tuned else []
    headings += ["run"]
    return Table(
        title="Scores",
        reading=(
            f"Means over test perturbations and seeds with {CONFIDENCE:.0%} bootstrap intervals over "
            "perturbations, or their number n where it is too small; rows are sorted by their mean rank over "
            "the headline metrics; †n: undefined for n perturbations, which are left out; fallbacks: refused "
            "perturbations, for which the train mean is scored; tuned: configurations that were tried before "
            "this one, and how long that took; run: of the first seed, and how many more there are."
        ),
        columns=("rank", "method", *(_broken(METRICS[name].spec.heading) for name in SHOWN), *headings),
        rows=[_scores(row, block) for row in block.rows if row.is_shown],
        absent="No run has finished.",
    )


def scaled(block: Block) -> Table:
    """Scores between the baseline and the upper bound."""
    shown = [row for row in block.rows if row.is_shown]
    return Table(
        title="Scaled scores",
        reading=(
            f"0 is what `{BASELINE}` scores on the same perturbation, 1 the limit, what a model "
            "that knew the true means would score (in metrics that read cells the replicate ceiling), "
            "and more is better in every column; ‡n: m: for n perturbations the bound is hardly above the "
            f"baseline (by less than {LEAST_RANGE:g} of what separates that from a perfect score), so that "
            "they cannot tell a method from it; they are left out and have the plain mean m; "
            f"–: no `{BASELINE}` with as many cells, or no bound, in any seed of the row."
        ),
        columns=("rank", "method", *map(_broken, HEADLINE)),
        rows=[
            [_rank(row), block.name(row), *(_scaled(row.scaled.get(name)) for name in HEADLINE)]
            for row in shown
            if any(other.scaled for other in shown)
        ],
        absent=f"Nothing is scaled: no seed has runs of both `{BASELINE}` and a bound.",
    )


def groups(block: Block) -> Table:
    """Means per group of test perturbations."""
    names = sorted({group for row in block.rows for group in row.groups})
    shown = [row for row in block.rows if row.groups]
    return Table(
        title="Groups",
        reading=(
            f"Means with {CONFIDENCE:.0%} intervals over the test perturbations of one group, which says how "
            "many of the perturbed genes are seen in training."
        ),
        columns=("metric", "method", *names),
        rows=[
            [
                METRICS[metric].spec.heading,
                block.name(row),
                *(_estimate(row.groups[name].get(metric)) for name in names),
            ]
            for metric in HEADLINE
            for row in shown
        ],
        absent="The test perturbations are of one group, or their groups are not known.",
        words=("metric", "method"),
    )


def transfer(block: Block) -> Table:
    """Scores in each context that is tested, by where a row was trained."""
    shown = [row for row in block.rows if row.transfer]
    contexts = sorted({name for row in shown for each in row.transfer for name in each.tested})
    return Table(
        title="Transfer",
        reading=(
            f"Means with {CONFIDENCE:.0%} intervals in each context that is tested (a column), of what was "
            "trained on perturbations of the contexts that a line names: the other ones, or all, of which "
            "the tested one shows other perturbations; mean: over contexts, each with the same weight."
        ),
        columns=("metric", "method", "trained on", *contexts, "mean"),
        rows=[
            [
                METRICS[metric].spec.heading,
                block.name(row),
                "" if row.is_bound else each.trained,
                *(_estimate_or_dash(each.tested[name].get(metric)) for name in contexts),
                _estimate(each.mean.get(metric)),
            ]
            for metric in HEADLINE
            for row in shown
            for each in row.transfer
        ],
        absent="One context was tested.",
        words=("metric", "method", "trained on"),
    )


def tests(block: Block) -> Table:
    """Each ranked row against the next lower one, or all against one."""
    compared = [row for row in block.rows if row.next_row]
    by_label = {row.label: row for row in block.rows if row.is_shown}
    other = f"'{block.against}'" if block.against else "the next lower one"
    return Table(
        title="Neighbours",
        reading=(
            f"Mean difference of a method and {other}, positive where the method is better, with "
            f"{CONFIDENCE:.0%} bootstrap interval and p-value (Wilcoxon's signed-rank test, paired by "
            "perturbation over the seeds that both have; Holm's correction over all tests of the block); "
            f"too few (n): n perturbations, of which {FEWEST} are needed for a test."
        ),
        columns=("rank", "method", "against", *map(_broken, HEADLINE), "shared\nseeds"),
        rows=[
            [
                _rank(row),
                block.name(row),
                block.name(by_label[row.next_row]),
                *(_comparison(row.against_next[name]) for name in HEADLINE),
                str(len(row.next_seeds)),
            ]
            for row in compared
        ],
        absent=(
            f"There is no finished row '{block.against}' here, or no other that shares a seed with it."
            if block.against
            else "There are no two ranked rows to compare."
        ),
        words=("method", "against"),
    )


TABLES: dict[str, Callable[[Block], Table]] = {
    "scores": scores,
    "scaled": scaled,
    "groups": groups,
    "transfer": transfer,
    "tests": tests,
}


def _broken(name: str) -> str:
    """A heading whose last word is below the others."""
    return "_\n".join(name.rsplit("_", 1))


def _rank(row: Row) -> str:
    return "–" if row.rank is None else str(row.rank)


def _scores(row: Row, block: Block) -> list[str]:
    estimates = [_estimate(row.metrics.get(name)) for name in SHOWN]
    rank = ""
    if row.mean_rank is not None:
        rank = f"{row.mean_rank:.2f}"
        if row.mean_rank_low is not None:
            rank += f"\n[{row.mean_rank_low:.1f}, {row.mean_rank_high:.1f}]"
    seeds = str(row.seeds) + ("" if row.seed_list == block.seeds else "*")
    ends = ["", ""] if row.is_bound else [f"{row.coverage:.0%}", str(row.fallbacks)]
    return [
        _rank(row),
        block.name(row),
        *estimates,
        rank,
        seeds,
        *ends,
        f"{row.seconds:.1f}",
        *([_tuned(row, block)] if block.tuned else []),
        row.run_ids[0][:8] + (f"\n+{len(row.run_ids) - 1}" if len(row.run_ids) > 1 else ""),
    ]


def _tuned(row: Row, block: Block) -> str:
    if not row.is_tuned:
        return ""
    mark = "" if row.tuning_trials == block.usual_trials else "*"
    return f"{row.tuning_trials}{mark} /\n{row.tuning_seconds:.0f} s"


def _estimate(found: Estimate | None) -> str:
    if found is None or found.mean is None:
        return "undefined"
    digits = 4 if 0 < abs(found.mean) < 0.1 else 3
    mean, *ends = (  # + 0.0 makes -0 to 0
        None if value is None else round(value, digits) + 0.0 for value in (found.mean, found.low, found.high)
    )
    if found.low is not None:
        bounds = f"\n[{ends[0]:.{digits}f}, {ends[1]:.{digits}f}]"
    else:
        bounds = f"\n(n {found.n})" if found.n else ""
    return f"{mean:.{digits}f}{bounds}" + (f" †{found.missing}" if found.missing else "")


def _estimate_or_dash(found: Estimate | None) -> str:
    """A context in which a row was not tested has no score."""
    return "–" if found is None else _estimate(found)


def _scaled(found: Scaled | None) -> str:
    if found is None:
        return "–"
    parts = [] if found.mean is None else [_estimate(found)]
    if found.flat:
        parts.append(
            f"‡{found.flat}: "
            + _estimate(Estimate(mean=found.flat_mean, low=None, high=None, n=0, missing=0))
        )
    return "\n".join(parts) or "undefined"


def _comparison(found: Comparison) -> str:
    if found.mean is None:
        return "no pairs"
    if found.p is None:
        return f"{found.mean:+.2g}\ntoo few ({found.n})"
    return f"{found.mean:+.2g}\n[{found.low:+.2g}, {found.high:+.2g}]\np {found.corrected:.2g}"
