"""The leaderboard: runs of one data set and split scheme side by side, ranked, with intervals and tests.

Rows are ranked by their mean rank over the headline metrics. A metric's mean is taken over test
perturbations, then over seeds; its interval by resampling perturbations, each with what it scored in every
seed. Ranks compare the seeds that most rows of a block have. Runs on other data, even of the same name, stand
in a block of their own, and so do runs on a split file that another run of the same seed does not share.
"""

from benchmark.board.build import build_board
from benchmark.board.intervals import estimate
from benchmark.board.rows import (
    ANCHORS,
    BASELINE,
    CEILING,
    HEADLINE,
    SUBMITTED,
    Block,
    Comparison,
    Estimate,
    Row,
    Scaled,
)

__all__ = [
    "ANCHORS",
    "BASELINE",
    "CEILING",
    "HEADLINE",
    "SUBMITTED",
    "Block",
    "Comparison",
    "Estimate",
    "Row",
    "Scaled",
    "build_board",
    "estimate",
]
