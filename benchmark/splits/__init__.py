"""Frozen divisions of perturbations into training, validation and test parts."""

from benchmark.splits.checking import check_split
from benchmark.splits.drawing import make_split
from benchmark.splits.files import (
    AUTO,
    adjusted,
    frozen_file,
    frozen_split,
    list_splits,
    load_split,
    read_split,
    require_scheme,
    resolved,
    save_split,
    split_file,
)
from benchmark.splits.schemes import SCHEMES
from benchmark.splits.shares import scheme_called
from benchmark.splits.split import Split

__all__ = [
    "AUTO",
    "SCHEMES",
    "Split",
    "adjusted",
    "check_split",
    "frozen_file",
    "frozen_split",
    "list_splits",
    "load_split",
    "make_split",
    "read_split",
    "require_scheme",
    "resolved",
    "save_split",
    "scheme_called",
    "split_file",
]
