"""Frozen split files: ``splits/<dataset>/<scheme>-<seed>.json``."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from benchmark.contexts import labels_of
from benchmark.errors import BenchmarkError, unknown
from benchmark.machine.paths import data_folders, project_home, replacing
from benchmark.perturbation import CONTROL
from benchmark.splits.contexts import CONTEXT_SCHEMES
from benchmark.splits.drawing import fitting_scheme, make_split
from benchmark.splits.own import is_own_list, read_own_list
from benchmark.splits.schemes import SCHEMES
from benchmark.splits.shares import scheme_called, with_shares
from benchmark.splits.split import Split

if TYPE_CHECKING:
    from benchmark.data import Dataset

AUTO = "auto"
"""The scheme that suits the data, see `benchmark.splits.drawing.fitting_scheme`."""

_log = logging.getLogger("benchmark")


def load_split(dataset: Dataset, scheme: str, seed: int) -> Split:
    """Return the frozen split of a dataset; where there is none yet, it is made and frozen now.

    Parameters
    ----------
    dataset
        What is divided.
    scheme
        One of `SCHEMES`, also with other shares (`benchmark.splits.shares`); "auto", the one that suits the
        data; a list of one's own, as a path to a .json or .csv file (`benchmark.splits.own`), or by the name
        that it was frozen under.
    seed
        Of the draw; a list of one's own has none but that of the control cells.

    Raises
    ------
    BenchmarkError
        When the file is damaged, was edited or was made for other data, or the scheme is unknown or
        does not suit the data.
    """
    if is_own_list(scheme):
        return _frozen_list(dataset, Path(scheme), seed)
    scheme = resolved(dataset, scheme, seed)
    path = split_file(dataset.name, scheme, seed)
    if path is None:
        split = make_split(dataset, scheme, seed)
        _log.info("Made the split %s", save_split(split))
        return split
    split = read_split(path)
    if split.dataset_digest != dataset.digest:
        raise BenchmarkError(
            f"The split file {path} was made for other data (digest {split.dataset_digest[:12]}, but "
            f"'{dataset.name}' has {dataset.digest[:12]}); use those data, or delete the file."
        )
    return split


def frozen_file(dataset: Dataset, scheme: str, seed: int) -> Path | None:
    """Return the file that `load_split` would read, or None where nothing is frozen yet."""
    if is_own_list(scheme):
        scheme = read_own_list(Path(scheme), dataset, seed).scheme
    return split_file(dataset.name, resolved(dataset, scheme, seed), seed)


def resolved(dataset: Dataset, scheme: str, seed: int) -> str:
    """Return the scheme that is meant: for "auto" the one that suits the data."""
    return fitting_scheme(dataset, seed) if scheme == AUTO else scheme


def adjusted(
    dataset: Dataset, scheme: str, seed: int, test: float | None = None, validation: float | None = None
) -> str:
    """Return the name of a scheme, or of the one that suits the data, with other shares than usual.

    Raises
    ------
    BenchmarkError
        When it takes none, or they leave nothing to learn from.
    """
    if test is validation is None:
        return scheme
    return with_shares(resolved(dataset, scheme, seed), test, validation)


def _frozen_list(dataset: Dataset, path: Path, seed: int) -> Split:
    split = read_own_list(path, dataset, seed)
    _log.info("Froze the split %s", save_split(split))
    found = set(labels_of(dataset.adata.obs)) - {CONTROL}
    unused = sorted(found.difference(split.train, split.validation, split.test))
    if unused:
        _log.warning(
            "%d of %d perturbations are in no list of %s, such as '%s': nothing is learned from them, and "
            "they are not tested.",
            *(len(unused), len(found), path.name, unused[0]),
        )
    return split


def frozen_split(dataset: Dataset, scheme: str, seed: int, digest: str) -> Split:
    """Return the frozen split that has a digest: as it is in its file, or with shared control cells.

    Raises
    ------
    BenchmarkError
        As `load_split` does, and when the file is another one by now.
    """
    split = load_split(dataset, scheme, seed)
    for found in (split, split.sharing_controls()):
        if found.digest == digest:
            return found
    raise BenchmarkError(
        f"its split has the digest {split.digest[:12]} now, not {digest[:12]}; restore that, or run it again."
    )


def save_split(split: Split) -> Path:
    """Freeze a split among the user's files and return where.

    Raises
    ------
    BenchmarkError
        When another split is frozen there already.
    """
    frozen = split_file(split.dataset, split.scheme, split.seed)
    if frozen is not None:
        if read_split(frozen) != split:
            raise BenchmarkError(f"{frozen} holds another split already; delete it first.")
        return frozen
    path = project_home() / "splits" / split.dataset / f"{split.scheme}-{split.seed}.json"
    with replacing(path) as temporary:
        text = json.dumps(split.model_dump(mode="json"), indent=1, sort_keys=True, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")
    return path


def read_split(path: Path) -> Split:
    """Read one split file.

    Raises
    ------
    BenchmarkError
        When it is damaged, was edited, or is not where it belongs.
    """
    try:
        split = Split.model_validate_json(path.read_bytes())
    except (ValidationError, OSError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error.strerror
        raise BenchmarkError(f"The split file {path} is damaged ({reason}); restore or delete it.") from error
    if split.digest != split.content_digest():
        raise BenchmarkError(f"The split file {path} was changed after it was made; restore or delete it.")
    if path.parts[-2:] != (split.dataset, f"{split.scheme}-{split.seed}.json"):
        raise BenchmarkError(
            f"The split file {path} describes {split.scheme}-{split.seed} of '{split.dataset}'; "
            "give it the name and folder that say so."
        )
    return split


def split_file(dataset: str, scheme: str, seed: int) -> Path | None:
    """Return the file of a split, a shipped one before a user's, or None where there is none."""
    candidates = [folder / dataset / f"{scheme}-{seed}.json" for folder in data_folders("splits")]
    return next((path for path in candidates if path.is_file()), None)


def require_scheme(scheme: str) -> None:
    """Refuse a split that is neither a scheme nor a list of one's own, by its file or as it was frozen."""
    own = {
        path.stem.rpartition("-")[0]
        for folder in data_folders("splits")
        for path in folder.glob("*/*-*.json")
    }
    is_known = is_own_list(scheme) or scheme_called(scheme) is not None or scheme in {AUTO, *own}
    if not is_known:
        raise unknown(
            "split",
            scheme,
            {AUTO, *SCHEMES, *CONTEXT_SCHEMES, *own},
            "`python -m benchmark splits` lists them",
        )


def list_splits() -> list[Split]:
    """Return all frozen splits, by dataset, scheme and seed; a shipped one goes before a user's.

    Raises
    ------
    BenchmarkError
        When one of the files is damaged, was edited, or is not where it belongs.
    """
    found: dict[Path, Path] = {}
    for folder in reversed(data_folders("splits")):
        found |= {path.relative_to(folder): path for path in folder.glob("*/*-*.json")}
    splits = [read_split(path) for path in found.values()]
    return sorted(splits, key=lambda split: (split.dataset, split.scheme, split.seed))
