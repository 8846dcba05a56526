"""The leaderboard: runs of one data set and split scheme side by side, ranked, with intervals and tests.

Rows are ranked by their mean rank over the headline metrics. A metric's mean is taken over test
perturbations, then over seeds; its interval by resampling perturbations, each with what it scored in every
seed. Ranks compare the seeds that most rows of a block have. Runs on other data, even of the same name, stand
in a block of their own, and so do runs on a split file that another run of the same seed does not share.

Names of methods and what a row has are read by commands that wait for no board, so what computes one is
imported with the first of its names only.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from benchmark.board.rows import (
    ANCHORS,
    BASELINE,
    BOUNDS,
    CEILING,
    HEADLINE,
    LIMIT,
    SHOWN,
    SUBMITTED,
    Block,
    Comparison,
    Estimate,
    Row,
    Scaled,
)

if TYPE_CHECKING:
    from benchmark.board.build import build_board
    from benchmark.board.intervals import estimate

__all__ = [
    "ANCHORS",
    "BASELINE",
    "BOUNDS",
    "CEILING",
    "HEADLINE",
    "LIMIT",
    "SHOWN",
    "SUBMITTED",
    "Block",
    "Comparison",
    "Estimate",
    "Row",
    "Scaled",
    "build_board",
    "estimate",
]

_COMPUTES = {"build_board": "benchmark.board.build", "estimate": "benchmark.board.intervals"}


def __getattr__(name: str) -> Any:
    """Import what computes."""
    if name not in _COMPUTES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_COMPUTES[name]), name)
