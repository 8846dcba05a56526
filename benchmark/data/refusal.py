"""What is wrong with a file: all of it in one sentence, with the one command that reads it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.data.cards import DatasetCard
from benchmark.errors import BenchmarkError

FLAGS = ("collapse_guides", "ignore_case", "as_labelled", "raw")
READING = (
    "perturbation_column",
    "control_label",
    "separator",
    "expression",
    "layer",
    "raw",
    "gene_name_column",
    "gene_table",
    "context_column",
    "batch_column",
    "depth_column",
    "collapse_guides",
    "ignore_case",
    "as_labelled",
    "keep",
    "drop",
    "min_cells",
    "max_controls",
    "leave_out",
    "genes",
)
"""Fields of a card that say how a file is read, which are options of the command line, too."""
DECISIVE = ("separator", "collapse_guides", "control_label")
ROUNDS = 5
"""Times that a file is looked at again after something was mended."""


@dataclass(frozen=True)
class Problem:
    """Something for which a file cannot be used.

    Attributes
    ----------
    sentence
        What is wrong, what was found and what to do; without a full stop.
    mend
        Fields of a card that read the file nevertheless; None where the file has to be changed.
    of_values
        Whether the values of the matrix are wrong, so that another matrix might do.
    """

    sentence: str
    mend: Mapping[str, Any] | None = None
    of_values: bool = False


class RefusedDataError(BenchmarkError):
    """A data set that cannot be used, with all that is wrong with it."""

    def __init__(self, problems: Sequence[Problem], advice: str = "") -> None:
        self.problems = tuple(problems)
        sentences = [problem.sentence for problem in problems]
        said = sentences[0] if len(sentences) == 1 else _numbered(sentences)
        super().__init__(f"{said}.{advice}")


def reading(card: DatasetCard, mends: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return how a card reads its file, where it differs from the usual; mends go before."""
    usual = {name: DatasetCard.model_fields[name].get_default(call_default_factory=True) for name in READING}
    said = {name: getattr(card, name) for name in READING}
    needed = ("perturbation_column", "control_label", "expression")
    known = {name: value for name, value in said.items() if value != usual[name] or name in needed}
    known |= mends or {}
    return {name: known[name] for name in READING if name in known}


def mended(
    card: DatasetCard, problems: Sequence[Problem], look: Callable[[DatasetCard], Sequence[Problem]]
) -> dict[str, Any] | None:
    """Return the fields of a card that mend all problems, None where something has to be changed in the file.

    What decides how labels are divided and whose they are is mended first: other problems may vanish with it,
    and others come up.

    Parameters
    ----------
    card
        How the file was read.
    problems
        What is wrong then.
    look
        Returns what is wrong with labels when they are read otherwise.
    """
    mends: dict[str, Any] = {}
    of_values = [problem for problem in problems if problem.of_values]
    left: Sequence[Problem] = [problem for problem in problems if not problem.of_values]
    for _ in range(ROUNDS):
        if not left:
            step = _united(of_values, card)
            return None if step is None else mends | step
        decisive = [problem for problem in left if set(problem.mend or ()) & set(DECISIVE)]
        step = _united(decisive or left, card)
        if step is None:
            return None
        mends, card = mends | step, card.model_copy(update=step)
        left = look(card)
    return None


def _united(problems: Sequence[Problem], card: DatasetCard) -> dict[str, Any] | None:
    """Return the fields of a card that mend all of some problems, None where one cannot be mended so."""
    mends: dict[str, Any] = {}
    for problem in problems:
        if problem.mend is None:
            return None
        for name, value in problem.mend.items():
            known = mends.get(name, getattr(card, name))
            mends[name] = _joined(known, value) if name in ("leave_out", "drop", "control_label") else value
    return mends


def as_options(fields: Mapping[str, Any]) -> str:
    """Write fields of a card as options of the command line."""
    words = [word for name, value in fields.items() for word in _words(name, value)]
    return shlex.join(words)


def advice(card: DatasetCard, mends: Mapping[str, Any] | None) -> str:
    """Say what reads the file of a card all the same; empty where nothing does."""
    if mends is None:
        return ""
    if card.is_by_path:
        file = shlex.quote(str(card.local_file))
        return f" This reads it: python -m benchmark datasets add {file} {as_options(reading(card, mends))}"
    fields = ", ".join(f"{name} = {toml(value)}" for name, value in mends.items())
    return f" This reads it, in its card: {fields}"


def _words(name: str, value: Any) -> list[str]:
    option = f"--{name.replace('_', '-')}"
    if name in FLAGS:
        return [option] if value else []
    if isinstance(value, Mapping):
        pairs = [(key, each) for key, some in value.items() for each in _several(some)]
        return [word for key, each in pairs for word in (option, f"{key}={each}")]
    return [word for each in _several(value) for word in (option, str(each))]


def _several(value: Any) -> Sequence[Any]:
    return value if isinstance(value, tuple | list) else (value,)


def _joined(known: Any, more: Any) -> tuple[Any, ...]:
    return tuple(dict.fromkeys([*_several(known), *_several(more)]))


def toml(value: Any) -> str:
    """Write a value as TOML does."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)


def _numbered(sentences: Sequence[str]) -> str:
    listed = "; ".join(f"({number}) {sentence}" for number, sentence in enumerate(sentences, 1))
    return f"{len(sentences)} things are wrong: {listed}"
