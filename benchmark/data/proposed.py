"""How a file is probably read: its column of labels, its control cells, what stands between two genes."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from benchmark.data.cards import DatasetCard
from benchmark.data.cells import column
from benchmark.data.gene_tables import fitting_table
from benchmark.data.labels import CONTROL_LIKE, SEPARATORS, LabelReader
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    import pandas as pd

MOST_CONTROLS = 3
"""Labels of control cells that are proposed one by one, where a pattern would do."""
NUMBER = re.compile(r"[-_ .]?(?:sg|g)?\d+$")
LABELS = ("perturbation", "condition", "gene", "guide", "target", "target_gene", "gene_target", "sgrna")


def proposed(obs: pd.DataFrame, var: pd.DataFrame, said: Mapping[str, Any]) -> dict[str, Any]:
    """Complete what was said of how a file is read, by what its labels look like.

    Parameters
    ----------
    obs, var
        What the file says of its cells and genes.
    said
        Fields of a card.

    Raises
    ------
    BenchmarkError
        When nothing looks like labels of perturbations.
    """
    named_in = said.get("gene_name_column")
    genes = set(map(str, var.get(named_in, var.index)))
    name = said.get("perturbation_column") or _label_column(obs, genes)
    labels = sorted({str(label) for label in column(obs, name, "--perturbation-column") if label is not None})
    complete: dict[str, Any] = {"perturbation_column": name, **said}
    if "control_label" not in complete:
        controls = _controls(labels)
        complete["control_label"] = controls[0] if len(controls) == 1 else controls
    if "gene_name_column" not in complete and (symbols := _symbols(var, labels, genes)):
        complete["gene_name_column"] = symbols
        genes = set(map(str, var[symbols]))
    perturbed = [label for label in labels if not _is_control_like(label)]
    if "gene_table" not in complete and (table := fitting_table(genes, perturbed)):
        complete["gene_table"] = table
    complete.setdefault("separator", _separator(labels, genes, complete))
    return complete


def _label_column(obs: pd.DataFrame, genes: Collection[str]) -> str:
    """The column whose values look most like perturbations."""
    marks = {}
    for name in map(str, obs.columns):
        if obs[name].dtype.kind in "iufb":
            continue
        values = [str(value) for value in obs[name].dropna().unique()]
        if not 2 <= len(values) <= max(3, len(obs) // 2):
            continue
        fields = {part for value in values for part in [value, *_divided(value)]}
        named = len(fields & set(genes)) / len(values)
        has_control = any(_is_control_like(value) for value in values)
        marks[name] = min(named, 1.0) + 0.5 * has_control + 0.5 * (name.lower() in LABELS)
    best = max(marks, key=lambda name: marks[name], default=None)
    if best is None or marks[best] < 0.5:
        raise BenchmarkError(
            "No column of obs looks like labels of perturbations (there are: "
            f"{', '.join(map(str, obs.columns))}); "
            "name it with --perturbation-column."
        )
    return best


def _divided(label: str) -> list[str]:
    return [part for separator in SEPARATORS if separator in label for part in label.split(separator)]


def _is_control_like(label: str) -> bool:
    if CONTROL_LIKE.fullmatch(label):
        return True
    halves = [label.split(separator) for separator in SEPARATORS if separator in label]
    return any(all(CONTROL_LIKE.fullmatch(part) for part in parts) for parts in halves)


def _controls(labels: list[str]) -> tuple[str, ...]:
    """Labels that look like control cells, or their pattern; where none does, the usual, then refused."""
    found = tuple(label for label in labels if _is_control_like(label)) or ("control",)
    stems = {NUMBER.sub("", label) for label in found}
    pattern = f"{min(stems)}*"
    others = {part for label in set(labels) - set(found) for part in (label, *_divided(label))} - set(found)
    if len(found) <= MOST_CONTROLS or len(stems) > 1 or any(fnmatchcase(label, pattern) for label in others):
        return found
    return (pattern,)


def _symbols(var: pd.DataFrame, labels: list[str], genes: Collection[str]) -> str | None:
    """The column of var that has more of the names in labels than the index."""
    names = {part for label in labels for part in [label, *_divided(label)]}
    found = {str(name): len(names & set(var[name].astype(str))) for name in var.columns}
    best = max(found, key=lambda name: found[name], default=None)
    return best if best is not None and found[best] > 2 * len(names & set(genes)) else None


def _separator(labels: list[str], genes: Collection[str], said: Mapping[str, Any]) -> str:
    """The separator by which most labels are pairs of known names."""
    known = {*genes, *(label for label in labels if not any(mark in label for mark in SEPARATORS))}

    def pairs(separator: str) -> int:
        card = DatasetCard(name="x", separator=separator, control_label=said["control_label"])
        reader = LabelReader(card, genes)
        fields = [reader.fields(label) for label in labels if separator in label and label not in genes]
        return sum(
            len(parts) > 1 and all(part in known or _is_control_like(part) for part in parts)
            for parts in fields
        )

    return max(SEPARATORS, key=pairs)
