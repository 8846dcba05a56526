"""What an experiment of this size can find."""

from __future__ import annotations

import math
from statistics import NormalDist

from benchmark.studies.order.reading import ALPHA

POWER = 0.8
"""Chance to find a difference that is there, from which on it counts as one that would have been found."""


def smallest_found(deviation: float, n: int, alpha: float = ALPHA, power: float = POWER) -> float:
    """Smallest mean difference that a two-sided test of so many pairs finds with this chance.

    (z_(1 - alpha / 2) + z_power) s / sqrt(n), as for normal differences of known deviation (Cohen 1988). The
    chance to be significant on the wrong side is left out; it is below 1e-6.

    Parameters
    ----------
    deviation
        s, the standard deviation of the paired differences.
    n
        Pairs.
    alpha, power
        Of the test.

    Returns
    -------
    float
        In units of the deviation; NaN without any pair.
    """
    if not n:
        return math.nan
    normal = NormalDist()
    return (normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(power)) * deviation / math.sqrt(n)
