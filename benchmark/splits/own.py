"""Splits that somebody else drew: lists of perturbations for training, validation and test."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.contexts import labels_of
from benchmark.errors import BenchmarkError, unknown
from benchmark.perturbation import CONTROL, CONTROL_LABELS, IN_CONTEXT, Perturbation
from benchmark.splits.controls import divided_controls
from benchmark.splits.shares import scheme_called
from benchmark.splits.split import Split, group_of

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.data import Dataset

ENDINGS = (".json", ".csv")
PARTS = ("train", "validation", "test")
SPELT = {"training": "train", "val": "validation", "valid": "validation"}
"""Other names of parts."""
GENERATOR = "own list 1"


def is_own_list(scheme: str) -> bool:
    """Whether a split is named by a file with lists."""
    return scheme.endswith(ENDINGS)


def read_own_list(path: Path, dataset: Dataset, seed: int) -> Split:
    """Read lists of perturbations, as they are spelt in the source or here, and divide control cells.

    Parameters
    ----------
    path
        JSON: an object of the lists "train", "validation" and "test". CSV: the columns "perturbation" and
        "part". Its name is what the split is called.
    dataset
        What is divided. A perturbation that is in no list is in no part.
    seed
        Of the draw of control cells.

    Raises
    ------
    BenchmarkError
        When the file has other content, a label is not in the data or in two parts, or a part is empty.
    """
    name = re.sub(r"[^\w.-]+", "_", path.stem)
    if scheme_called(name) is not None:
        raise BenchmarkError(f"{path} has the name of a scheme; give it one of its own.")
    obs = dataset.adata.obs
    spelt = _spelt(obs)
    lists = _lists(path)
    parts = {
        part: set[str]().union(*(_canonical(label, spelt, path) for label in lists[part])) - {CONTROL}
        for part in PARTS
    }
    _require_apart(parts, path)
    seen = {gene for label in parts["train"] for gene in Perturbation.parse(label).genes}
    return Split(
        dataset=dataset.name,
        scheme=name,
        seed=seed,
        train=tuple(sorted(parts["train"])),
        validation=tuple(sorted(parts["validation"])),
        test=tuple(sorted(parts["test"])),
        controls=divided_controls(obs, parts["test"] | parts["validation"], seed),
        groups={label: group_of(label, seen, parts["train"]) for label in sorted(parts["test"])},
        generator=GENERATOR,
        parameters={},
        dataset_digest=dataset.digest,
    ).sealed()


def _lists(path: Path) -> dict[str, list[str]]:
    try:
        lists = _of_csv(path) if path.suffix == ".csv" else json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(lists, dict):
            raise ValueError("it is no object of lists")
        named = {SPELT.get(str(part), str(part)): labels for part, labels in lists.items()}
        if not all(isinstance(labels, list) for labels in named.values()):
            raise ValueError("its parts are no lists")
    except (OSError, ValueError, KeyError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BenchmarkError(
            f"{path} cannot be read as a split ({reason}); give JSON with the lists train, validation and "
            "test, "
            "or CSV with the columns perturbation and part."
        ) from error
    missing = [part for part in PARTS if not named.get(part)]
    if missing:
        raise BenchmarkError(f"{path} has nothing for the {missing[0]} part; give it some perturbations.")
    return {part: [str(label) for label in named[part]] for part in PARTS}


def _of_csv(path: Path) -> dict[str, list[str]]:
    lists: dict[str, list[str]] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        if not {"perturbation", "part"} <= set(reader.fieldnames or ()):
            raise ValueError(f"its columns are {', '.join(reader.fieldnames or ())}")
        for row in reader:
            lists.setdefault(row["part"].strip(), []).append(row["perturbation"].strip())
    return lists


def _spelt(obs: pd.DataFrame) -> dict[str, set[str]]:
    """How labels may be written -> what they mean: of data with contexts also all conditions at once."""
    import pandas as pd

    conditions = labels_of(obs)
    written = pd.DataFrame({"source": obs["source_label"], "label": obs["perturbation"], "is": conditions})
    spelt: dict[str, set[str]] = {}
    for source, label, condition in written.astype(str).drop_duplicates().itertuples(index=False):
        context = condition.removesuffix(label)
        for spelling in (source, label, context + source, condition):
            spelt.setdefault(spelling, set()).add(condition)
    return spelt


def _canonical(label: str, spelt: Mapping[str, set[str]], path: Path) -> set[str]:
    if label in spelt:
        return spelt[label]
    context, found, written = label.rpartition(IN_CONTEXT)
    genes = sorted({part.strip() for part in written.split("+")} - CONTROL_LABELS)
    if (turned := context + found + ("+".join(genes) or CONTROL)) in spelt:
        return spelt[turned]
    raise unknown("perturbation in the data", label, spelt, f"correct {path}")


def _require_apart(parts: Mapping[str, set[str]], path: Path) -> None:
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        both = sorted(parts[one] & parts[other])
        if both:
            raise BenchmarkError(f"{path} has '{both[0]}' in {one} and in {other}; leave it in one of them.")
