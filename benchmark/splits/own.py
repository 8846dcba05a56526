"""Splits that somebody else drew: lists of perturbations for training, validation and test."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import BenchmarkError, unknown
from benchmark.perturbation import CONTROL, CONTROL_LABELS
from benchmark.splits.shares import scheme_called
from benchmark.splits.split import FEWEST_CONTROLS, Controls, Split, group_of

if TYPE_CHECKING:
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
    spelt = dict(zip(obs["source_label"], obs["perturbation"], strict=True))
    spelt |= {label: label for label in obs["perturbation"]}
    lists = _lists(path)
    parts = {part: {_canonical(label, spelt, path) for label in lists[part]} - {CONTROL} for part in PARTS}
    _require_apart(parts, path)
    n_controls = int((obs["perturbation"] == CONTROL).sum())
    seen = {gene for label in parts["train"] for gene in label.split("+")}
    return Split(
        dataset=dataset.name,
        scheme=name,
        seed=seed,
        train=tuple(sorted(parts["train"])),
        validation=tuple(sorted(parts["validation"])),
        test=tuple(sorted(parts["test"])),
        controls=Controls.halves(n_controls, seed) if n_controls >= FEWEST_CONTROLS else None,
        groups={label: group_of(label, seen) for label in sorted(parts["test"])},
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


def _canonical(label: str, spelt: Mapping[str, str], path: Path) -> str:
    if label in spelt:
        return spelt[label]
    genes = sorted({part.strip() for part in label.split("+")} - CONTROL_LABELS)
    if (turned := "+".join(genes) or CONTROL) in spelt:
        return spelt[turned]
    raise unknown("perturbation in the data", label, spelt, f"correct {path}")


def _require_apart(parts: Mapping[str, set[str]], path: Path) -> None:
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        both = sorted(parts[one] & parts[other])
        if both:
            raise BenchmarkError(f"{path} has '{both[0]}' in {one} and in {other}; leave it in one of them.")
