"""On which scale values are, recovered from the cells themselves and never from a maximum.

Values that were normalised to a sum per cell tell it: of the right base b, the sums of b^x - 1 are alike in
all cells, and that sum is what counts were scaled to. Where genes were selected afterwards the sums differ;
the counts behind the values then show the base, as all b^x - 1 of a cell are multiples of one number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

TARGET = 1e4
BASES = (np.e, 2.0, 10.0)
EXACT, OF_HALF = 1e-3, 0.03
"""How much sums of a cell may differ: rounding of float32, and of float16."""
COUNTED = 64
"""Cells whose values are compared with each other."""
SMALLEST = range(1, 13)
"""Counts that the smallest value of a cell may stand for."""
DISTINCT = 4
"""Values of a cell below which all may be multiples by chance."""
WHOLE = 0.01
"""How far a multiple of the smallest value may be from a whole number."""


@dataclass(frozen=True)
class Scale:
    """What values are.

    Attributes
    ----------
    kind
        ``counts``: whole numbers. ``log``: log(1 + x) of normalised counts. ``linear``: normalised counts.
        ``signed``: some are negative. ``odd``: NaN or infinite. ``unknown``: none of these shows.
    base
        Of the logarithm.
    target
        Sum per cell of what was normalised; None where sums differ.
    tolerance
        How much sums may differ.
    """

    kind: str
    base: float | None = None
    target: float | None = None
    tolerance: float = EXACT

    @property
    def is_canonical(self) -> bool:
        """Whether values are log1p of counts per 10,000 over these genes."""
        return (
            self.base == np.e and self.target is not None and abs(self.target / TARGET - 1) <= self.tolerance
        )

    @property
    def is_exact(self) -> bool:
        """Whether values can be converted to log1p of counts per 10,000."""
        return self.kind in ("log", "linear") and self.target is not None

    def __str__(self) -> str:
        if self.kind == "counts":
            return "whole numbers: raw counts"
        if self.kind == "signed":
            return "some values are negative: centred or scaled"
        if self.kind == "odd":
            return "NaN or infinite values"
        if self.kind == "linear":
            return f"counts normalised to {_sum(self.target)} per cell, no logarithm"
        names = {np.e: "log1p", 2.0: "log2(1 + x)", 10.0: "log10(1 + x)"}
        if self.kind == "log" and self.base is not None:
            of = (
                f"counts per {_sum(self.target)}"
                if self.target
                else "normalised counts, genes selected later"
            )
            return f"{names[self.base]} of {of}"
        return "not counts; sums of cells differ on every scale"


def find_scale(cells: csr_matrix, is_half: bool = False) -> Scale:
    """Find the scale of some cells.

    Parameters
    ----------
    cells
        (cells, genes), stored values only.
    is_half
        Whether they were stored as float16.
    """
    values = cells.data.astype(np.float64)
    if not np.isfinite(values).all():
        return Scale("odd")
    if (values < 0).any():
        return Scale("signed")
    if (values == np.round(values)).all():
        return Scale("counts")
    tolerance = OF_HALF if is_half else EXACT
    filled = np.diff(cells.indptr) > 0
    starts = cells.indptr[:-1][filled]
    sums = {base: np.add.reduceat(_linear(values, base), starts) for base in (*BASES, None)}
    alike = {base: _spread(found) for base, found in sums.items()}
    best, second = sorted(alike, key=lambda base: alike[base])[:2]
    usual = Scale("log", np.e, float(np.median(sums[np.e])), tolerance)
    if alike[best] <= tolerance and 10 * alike[best] < alike[second]:
        return Scale("linear" if best is None else "log", best, float(np.median(sums[best])), tolerance)
    if alike[np.e] <= tolerance and usual.is_canonical:
        return usual
    rows = np.flatnonzero(filled)[:COUNTED]
    shares = {base: _share_of_multiples(cells[rows], base) for base in BASES}
    base = max(shares, key=lambda each: shares[each])
    return Scale("log", base) if shares[base] >= 0.8 else Scale("unknown")


def converted(cells: csr_matrix, scale: Scale) -> csr_matrix:
    """Return log1p of values per 10,000, of values of an exact scale, float64."""
    assert scale.target is not None
    result = cells.astype(np.float64)
    result.data = np.log1p(_linear(result.data, scale.base) * (TARGET / scale.target))
    return result


def off_scale(cells: csr_matrix, scale: Scale) -> int:
    """Count the cells whose sum is not that of the scale; cells without values have none."""
    assert scale.target is not None
    filled = np.diff(cells.indptr) > 0
    sums = np.add.reduceat(_linear(cells.data.astype(np.float64), scale.base), cells.indptr[:-1][filled])
    return int((np.abs(sums / scale.target - 1) > 2 * scale.tolerance).sum()) if filled.any() else 0


def exceeding(cells: csr_matrix) -> int:
    """Count the cells that cannot be log1p of counts per 10,000, as these would sum to more."""
    linear = cells.astype(np.float64)
    with np.errstate(over="ignore"):
        linear.data = np.expm1(linear.data)
    return int((np.asarray(linear.sum(axis=1)).ravel() > TARGET * (1 + OF_HALF)).sum())


def _linear(values: np.ndarray, base: float | None) -> np.ndarray:
    with np.errstate(over="ignore"):
        return values if base is None else np.expm1(values * np.log(base))


def _spread(sums: np.ndarray) -> float:
    """How far most sums are from their median, relative to it."""
    with np.errstate(invalid="ignore"):
        distances = np.abs(sums / np.median(sums) - 1)
    return float(np.quantile(distances, 0.95)) if np.isfinite(distances).all() else np.inf


def _share_of_multiples(cells: csr_matrix, base: float) -> float:
    """Of the cells with different values, the share in which all are counts if the smallest is a few."""
    verdicts = []
    for row in range(cells.shape[0]):
        linear = _linear(cells.data[cells.indptr[row] : cells.indptr[row + 1]].astype(np.float64), base)
        ratios = linear / linear.min()
        if len(np.unique(ratios)) >= DISTINCT and np.isfinite(ratios).all():
            verdicts.append(any(_are_whole(count * ratios) for count in SMALLEST))
    return float(np.mean(verdicts)) if verdicts else 0.0


def _are_whole(values: np.ndarray) -> bool:
    return bool((np.abs(values - np.round(values)) <= WHOLE + 1e-4 * values).all())


def _sum(target: float | None) -> str:
    value = target or 0.0
    return f"{round(value, -1 if value > 1000 else 0):,.0f}"
