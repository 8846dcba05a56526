"""Dictionaries of Geneformer, from pickles that can hold text and numbers and nothing else."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from methods._grn.checkpoint import SourceError, damaged, read_json

# What each maps a name to. A name that was empty in the table that it came from may be NaN.
DICTIONARIES: dict[str, tuple[type, ...]] = {
    "token_dictionary": (int,),
    "gene_median_dictionary": (int, float),
    "gene_name_id_dict": (str, float),
}


class _NumberKind:
    """Stands for `numpy.dtype` while unpickling, for plain numbers alone."""

    def __init__(self, code: str, *_: Any) -> None:
        self.kind = np.dtype(code)
        if self.kind.kind not in "iuf":
            raise pickle.UnpicklingError(f"numpy.dtype({code})")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.kind = self.kind.newbyteorder(state[1])


def _number(kind: _NumberKind, raw: bytes) -> float:
    """Make a number where the pickle asks for a scalar of NumPy."""
    return np.frombuffer(raw, kind.kind, count=1)[0].item()


STAND_INS = {
    ("numpy", "dtype"): _NumberKind,
    ("numpy.core.multiarray", "scalar"): _number,
    ("numpy._core.multiarray", "scalar"): _number,
}


class _PlainUnpickler(pickle.Unpickler):
    """Unpickles text, numbers and containers; whatever else a pickle could name and run is refused."""

    def find_class(self, module: str, name: str) -> Any:
        """Give the stand-in for a name, or refuse it."""
        if (module, name) not in STAND_INS:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return STAND_INS[module, name]


def find_dictionaries(folder: Path) -> dict[str, Path]:
    """Find the file of each dictionary: its name, or that with a suffix as `_gc104M`, as pickle or JSON.

    Raises
    ------
    SourceError
        Where one is missing or there are several of one.
    """
    found = {}
    for stem in DICTIONARIES:
        files = [
            path
            for pattern in (f"{stem}.*", f"{stem}_*")
            for path in sorted(folder.glob(pattern))
            if path.suffix in (".pkl", ".json")
        ]
        if len(files) != 1:
            have = f"has {' and '.join(path.name for path in files)}" if files else f"lacks {stem}.pkl"
            raise SourceError(
                f"The Geneformer checkpoint in {folder} {have}; "
                f"put the one {stem}, as .pkl or .json, that belongs to its weights there."
            )
        found[stem] = files[0]
    return found


def read_dictionary(path: Path, values: tuple[type, ...]) -> dict[str, Any]:
    """Read a plain dictionary with values of these types.

    Raises
    ------
    SourceError
        For a pickle that holds anything but text and numbers, of which nothing is run, and a damaged file.
    """
    found = read_json(path) if path.suffix == ".json" else _read_pickle(path)
    if type(found) is not dict or not all(type(value) in values for value in found.values()):
        kinds = " or ".join(kind.__name__ for kind in values)
        raise damaged(path, f"a dictionary with values of type {kinds}")
    return found


def _read_pickle(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            return _PlainUnpickler(file).load()
    except pickle.UnpicklingError as error:
        raise SourceError(
            f"{path} is no pickle of text and numbers alone, the only kind that is safe to read ({error}); "
            f"write it as {path.stem}.json instead."
        ) from error
    except Exception as error:  # a damaged pickle shows in many ways
        raise damaged(path, "a pickled dictionary") from error
