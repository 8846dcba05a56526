"""Says what is wrong with a split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from benchmark.contexts import labels_of
from benchmark.errors import BenchmarkError
from benchmark.perturbation import CONTROL, Perturbation
from benchmark.splits.drawing import GENERATOR, make_split
from benchmark.splits.split import Split

if TYPE_CHECKING:
    from benchmark.data import Dataset


def check_split(split: Split, dataset: Dataset | None = None) -> list[str]:
    """Return what is wrong with a split, one sentence each; without the data, less can be checked."""
    problems = [] if split.digest == split.content_digest() else ["it was changed after it was made"]
    parts = {"train": set(split.train), "validation": set(split.validation), "test": set(split.test)}
    problems += [f"its {part} part is empty" for part, labels in parts.items() if not labels]
    problems += _overlaps(parts)
    if set(split.groups) != parts["test"]:
        problems.append("its groups are not those of its test perturbations")
    labels = set.union(*parts.values())
    misspelt = sorted(label for label in labels if not _is_canonical(label))
    problems += [f"'{label}' is not a canonical label" for label in misspelt]
    if dataset is None:
        return problems
    if split.dataset_digest != dataset.digest:
        problems.append(f"it was made for other data than '{dataset.name}' as it is now")
    found = labels_of(dataset.adata.obs)
    n_controls = int((found == CONTROL).sum())
    if split.controls and split.controls.n != n_controls:
        problems.append(f"it divides {split.controls.n} control cells, but the data have {n_controls}")
    missing = sorted(labels - set(found))
    problems += [f"'{label}' is not in the data" for label in missing]
    ours = not problems and split.generator == GENERATOR
    drawn = make_split(dataset, split.scheme, split.seed) if ours else split
    if split not in (drawn, drawn.sharing_controls()):
        problems.append(f"it is not what the scheme '{split.scheme}' draws from these data")
    return problems


def _is_canonical(label: str) -> bool:
    try:
        perturbation = Perturbation.parse(label)
    except BenchmarkError:
        return False
    return perturbation.label == label and not perturbation.is_control


def _overlaps(parts: Mapping[str, set[str]]) -> list[str]:
    names = list(parts)
    pairs = [(one, other) for i, one in enumerate(names) for other in names[i + 1 :]]
    return [
        f"'{label}' is in {one} and in {other}"
        for one, other in pairs
        for label in sorted(parts[one] & parts[other])
    ]
