"""Frozen divisions of perturbations into training, validation and test parts."""

from benchmark.splits.files import frozen_split, list_splits, load_split, read_split, save_split, split_file
from benchmark.splits.schemes import SCHEMES
from benchmark.splits.split import Split, check_split, make_split

__all__ = [
    "SCHEMES",
    "Split",
    "check_split",
    "frozen_split",
    "list_splits",
    "load_split",
    "make_split",
    "read_split",
    "save_split",
    "split_file",
]
