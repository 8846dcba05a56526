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
from tests.evaluation.attacks.challenge import SCORE, Challenge  # noqa: E402

MORE_COLUMNS = ("de_overlap", "direction", "centroid_accuracy", "energy_distance")
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


class ChallengeTable:
    """The attacks on one base as the challenge scores them: its six metrics and their score, in markdown."""

    def __init__(self, honest: pd.Series) -> None:
        self._honest = honest

    def head(self) -> list[str]:
        """Return the first rows: names, and what the honest prediction scores."""
        values = [_number(name, value) for name, value in self._honest.items()]
        return [
            _row(["attack", *map(str, self._honest.index)]),
            "|---" * (len(values) + 1) + "|",
            _row(["honest", *values]),
        ]

    def row(self, name: str, attacked: pd.Series) -> str:
        """Return what an attack scores and gains."""
        closed = self.closed(attacked)
        cells = []
        for column, value in attacked.items():
            digits = _digits(column)
            sign = 1 if _is_better_higher(column) else -1
            gain = f"{round(sign * (value - self._honest[column]), digits) + 0.0:+.{digits}f}"
            cells.append(f"{_number(column, value)} ({_bold(gain, closed[column] >= WORTH_A_WORD)})")
        return _row([f"`{name}`", *cells])

    def closed(self, attacked: pd.Series) -> pd.Series:
        """How much of the way to a perfect prediction an attack gains: of the score, to a replicate."""
        best = pd.Series({name: 1.0 if name == SCORE else METRICS[name].spec.best for name in attacked.index})
        return 1 - (best - attacked).abs() / (best - self._honest).abs()


class Gains:
    """Which metrics gain from attacks: a table over all bases of all data sets."""

    def __init__(self) -> None:
        self._closed: dict[str, dict[str, pd.Series]] = {}

    def add(self, dataset: str, base: str, attack: str, closed: pd.Series) -> None:
        """Note the shares of the way that one attack closes."""
        rows = self._closed.setdefault(dataset, {})
        rows[f"`{attack}` on `{base}`"] = closed

    def lines(self) -> list[str]:
        """Return the table: how many attacks gain a tenth, and which gains most."""
        names = list(self._closed)
        tables = {name: pd.DataFrame(rows).T for name, rows in self._closed.items()}
        head = ["metric", *(f"{what} on `{name}`" for name in names for what in ("gain", "most"))]
        lines = ["## Which metrics attacks beat", "", _row(head), "|---" * len(head) + "|"]
        for metric in next(iter(tables.values())):
            cells = [f"`{metric}`"]
            for table in tables.values():
                closed = table[metric].dropna()
                gained = closed[closed >= WORTH_A_WORD]
                cells.append(f"{len(gained)} of {len(closed)}")
                cells.append(f"{gained.idxmax()}: {gained.max():.0%}" if len(gained) else "none")
            lines.append(_row(cells))
        return [*lines, ""]


def _is_better_higher(metric: str) -> bool:
    return metric == SCORE or bool(METRICS[metric].spec.higher_is_better)


def _digits(metric: str) -> int:
    return 3 if _is_better_higher(metric) else 4


def _number(metric: str, value: float) -> str:
    return f"{value:.{_digits(metric)}f}"


def _bold(text: str, worth: bool) -> str:
    return f"**{text}**" if worth else text


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def measured(
    contest: Contest, challenge: Challenge, folder: Path, beaten: Gains
) -> tuple[list[str], list[str]]:
    """Enter every attack on every base: a section, and who passed an honest method."""
    honest = {method: contest.honest_scores(method, folder) for method in HONEST}
    lines, passed = [f"## On `{contest.dataset.name}`, {contest.split.scheme}-{contest.split.seed}", ""], []
    for base in BASES:
        table = Table(honest, base)
        judged = ChallengeTable(challenge.judge(contest.honest_file(base, folder).predicted))
        of_board, of_challenge = table.head(), judged.head()
        for attack in ATTACKS:
            closed = []
            try:
                submission = contest.attacked_file(attack, base, folder)
                attacked = contest.scores(submission)
                of_board.append(table.row(attack.name, attacked))
                closed.append(share_closed(honest[base], attacked)[headline_metrics()])
                change = table.rank_change(attacked)
                if change < 0:
                    names = (f"`{name}`" for name in (contest.dataset.name, base, attack.name))
                    passed.append(_row([*names, f"{change:+.2f}"]))
            except BenchmarkError as error:
                of_board.append(_row([f"`{attack.name}`", f"refused: {_sentence(error, folder)}"]))
                continue
            try:
                found = challenge.judge(submission.predicted)
                of_challenge.append(judged.row(attack.name, found))
                closed.append(judged.closed(found))
            except BenchmarkError as error:
                of_challenge.append(_row([f"`{attack.name}`", f"refused: {_sentence(error, folder)}"]))
            beaten.add(contest.dataset.name, base, attack.name, pd.concat(closed))
        lines += [
            f"Attacks on `{base}`:",
            "",
            *of_board,
            "",
            "As the challenge scores them:",
            "",
            *of_challenge,
            "",
        ]
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
    refused, tables, passed, beaten = [], [], [], Gains()
    with tempfile.TemporaryDirectory() as place:
        for name in wanted.datasets:
            dataset = load_dataset(name)
            split = load_split(dataset, "doubles", 0)
            contest, challenge = Contest.on(dataset, split), Challenge.on(dataset, split)
            refused = refused or refusals(contest, Path(place))
            lines, climbers = measured(contest, challenge, Path(place), beaten)
            tables, passed = tables + lines, passed + climbers
    head = ["## Who passes an honest method", "", "| data set | base | attack | mean rank |"]
    passed = [*head, "|---|---|---|---|", *passed, ""]
    text = [words, *passed, *beaten.lines(), *descriptions(), *refused, *tables]
    wanted.output.parent.mkdir(exist_ok=True)
    wanted.output.write_text("\n".join(text).rstrip() + "\n")


if __name__ == "__main__":
    main()
