"""What cheating submissions gain: enters every attack of the tests, and writes ``docs/attacks.md``.

    python perf/attacks.py simulated carpool_semi

Each argument is a data set, whose split doubles-0 is predicted. Attacks are described where they are
declared, in ``tests/evaluation/attacks/attacks.py``; every figure of the document is measured here.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmark.data import load_dataset  # noqa: E402
from benchmark.errors import BenchmarkError  # noqa: E402
from benchmark.evaluation.metrics import METRICS, headline_metrics  # noqa: E402
from benchmark.splits import load_split  # noqa: E402
from tests.evaluation.attacks.attacks import ATTACKS  # noqa: E402
from tests.evaluation.attacks.broken import BROKEN  # noqa: E402
from tests.evaluation.attacks.case import BASES, HONEST, Contest, gains, mean_ranks, share_closed  # noqa: E402

MORE_COLUMNS = ("de_overlap", "direction", "pds_cosine", "centroid_accuracy", "energy_distance")
"""Shown beside the headline metrics: two as published, and one of each other kind."""

WORTH_A_WORD = 0.1
AT_MOST = 4
TEXT = Path(__file__).with_name("attacks_text.md")
"""What the document says in words; figures come from here."""


class Table:
    """The attacks on one base: markdown rows."""

    def __init__(self, honest: dict[str, pd.DataFrame], base: str) -> None:
        self._honest, self._base = honest, base
        self._columns = [*headline_metrics(), *MORE_COLUMNS]

    def head(self) -> list[str]:
        """Return the first rows: names, and what the honest prediction scores."""
        names = [*self._columns, "mean rank", "others that gain most"]
        means = self._honest[self._base].mean()
        values = [_number(name, means[name]) for name in self._columns]
        cells = ["honest", *values, f"{self._ranks({})[self._base]:.2f}", ""]
        return [_row(["attack", *names]), "|---" * (len(names) + 1) + "|", _row(cells)]

    def row(self, name: str, attacked: pd.DataFrame) -> str:
        """Return what an attack scores and gains."""
        base, means = self._honest[self._base], attacked.mean()
        gained, closed = gains(base, attacked), share_closed(base, attacked)

        def shown(column: str) -> str:
            digits = _digits(column)
            gain = f"{round(gained[column], digits) + 0.0:+.{digits}f}"
            return f"{_number(column, means[column])} ({_bold(gain, closed[column] >= WORTH_A_WORD)})"

        others = closed.drop(self._columns).sort_values(ascending=False)
        others = others[others >= WORTH_A_WORD]
        listed = [f"{metric} {share:.0%}" for metric, share in others[:AT_MOST].items()]
        listed += [f"{len(others) - AT_MOST} more"] if len(others) > AT_MOST else []
        change = self.rank_change(attacked)
        rank = _bold(f"{change:+.2f}", change < 0)
        return _row([f"`{name}`", *map(shown, self._columns), rank, ", ".join(listed)])

    def rank_change(self, attacked: pd.DataFrame) -> float:
        """How an attack changes the mean rank of its base; minus is better."""
        return float(self._ranks({self._base: attacked})[self._base] - self._ranks({})[self._base])

    def _ranks(self, instead: dict[str, pd.DataFrame]) -> pd.Series:
        tables = {**self._honest, **instead}
        return mean_ranks(pd.DataFrame({name: table.mean() for name, table in tables.items()}).T)


def _digits(metric: str) -> int:
    return 3 if METRICS[metric].spec.higher_is_better else 4


def _number(metric: str, value: float) -> str:
    return f"{value:.{_digits(metric)}f}"


def _bold(text: str, worth: bool) -> str:
    return f"**{text}**" if worth else text


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def measured(contest: Contest, folder: Path) -> tuple[list[str], list[str]]:
    """Enter every attack on every base: a section with a table per base, and who passed an honest method."""
    honest = {method: contest.honest_scores(method, folder) for method in HONEST}
    lines, passed = [f"## On `{contest.dataset.name}`, {contest.split.scheme}-{contest.split.seed}", ""], []
    for base in BASES:
        table = Table(honest, base)
        lines += [f"Attacks on `{base}`:", "", *table.head()]
        for attack in ATTACKS:
            try:
                attacked = contest.attacked_scores(attack, base, folder)
            except BenchmarkError as error:
                lines.append(_row([f"`{attack.name}`", f"refused: {_sentence(error, folder)}"]))
                continue
            lines.append(table.row(attack.name, attacked))
            change = table.rank_change(attacked)
            if change < 0:
                names = (f"`{name}`" for name in (contest.dataset.name, base, attack.name))
                passed.append(_row([*names, f"{change:+.2f}"]))
        lines.append("")
    return lines, passed


def refusals(contest: Contest, folder: Path) -> list[str]:
    """Hand in every broken file: a table with the answers."""
    lines = ["## Files that are refused", "", "| file | it | answer |", "|---|---|---|"]
    for one in BROKEN:
        try:
            one.enter(contest, folder)
        except BenchmarkError as error:
            lines.append(_row([f"`{one.name}`", one.does, _sentence(error, folder)]))
        else:
            raise SystemExit(f"The file {one.name} was not refused.")
    return [*lines, ""]


def _sentence(error: BenchmarkError, folder: Path) -> str:
    return str(error).replace(f"{folder}/", "").replace("|", "\\|")


def descriptions() -> list[str]:
    """Return the attacks that can be scored, in words."""
    rows = [_row([f"`{attack.name}`", attack.does, attack.why]) for attack in ATTACKS]
    head = ["## Attacks that can be scored", "", "| attack | it | why it pays, or not |", "|---|---|---|"]
    return [*head, *rows, ""]


def provenance(datasets: list[str]) -> str:
    """Say what made the document."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    changed = ", with changes not committed yet" if git("status", "--porcelain", "--", "benchmark") else ""
    command = f"python perf/attacks.py {' '.join(datasets)}"
    return f"Written by `{command}` at commit {git('rev-parse', '--short', 'HEAD')}{changed}."


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("datasets", nargs="*", default=["simulated"])
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "attacks.md")
    wanted = parser.parse_args()
    words = TEXT.read_text().format(honest="`, `".join(HONEST), provenance=provenance(wanted.datasets))
    refused, tables, passed = [], [], []
    with tempfile.TemporaryDirectory() as place:
        for name in wanted.datasets:
            dataset = load_dataset(name)
            contest = Contest.on(dataset, load_split(dataset, "doubles", 0))
            refused = refused or refusals(contest, Path(place))
            lines, climbers = measured(contest, Path(place))
            tables, passed = tables + lines, passed + climbers
    head = ["## Who passes an honest method", "", "| data set | base | attack | mean rank |"]
    passed = [*head, "|---|---|---|---|", *passed, ""]
    text = [words, *passed, *descriptions(), *refused, *tables]
    wanted.output.parent.mkdir(exist_ok=True)
    wanted.output.write_text("\n".join(text).rstrip() + "\n")


if __name__ == "__main__":
    main()
