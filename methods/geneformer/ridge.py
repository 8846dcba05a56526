"""Ridge regression on standardised shifts, with its strength chosen on perturbations that it has not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STRENGTHS = np.logspace(-4, 4, 17)


@dataclass(frozen=True)
class Ridge:
    """A linear map from shifts to changes.

    Attributes
    ----------
    scale
        The number that shifts are divided by.
    centre, intercept
        Means of the training shifts (width,) and changes (genes,).
    slopes
        (width, genes).
    alpha
        The strength.
    """

    scale: float
    centre: np.ndarray
    intercept: np.ndarray
    slopes: np.ndarray
    alpha: float

    def predict(self, shifts: np.ndarray) -> np.ndarray:
        """Changes for shifts (perturbations, width): (perturbations, genes)."""
        return self.intercept + (shifts / self.scale - self.centre) @ self.slopes


def fit_ridge(
    shifts: np.ndarray, changes: np.ndarray, chosen_shifts: np.ndarray, chosen_changes: np.ndarray
) -> tuple[Ridge, float]:
    """Fit with every strength, and return the best.

    Parameters
    ----------
    shifts, changes
        Of training perturbations, (perturbations, width) and (perturbations, genes).
    chosen_shifts, chosen_changes
        Of validation perturbations. Where there are none, each training perturbation is left out in turn.

    Returns
    -------
    tuple
        The regression, and the mean squared error by which it was chosen.
    """
    if len(chosen_shifts):
        candidates = (_fitted(shifts, changes, alpha) for alpha in STRENGTHS)
        scored = [(ridge, _error(ridge, chosen_shifts, chosen_changes)) for ridge in candidates]
    else:
        scored = [(_fitted(shifts, changes, alpha), _left_out(shifts, changes, alpha)) for alpha in STRENGTHS]
    return min(scored, key=lambda each: each[1])


def _fitted(shifts: np.ndarray, changes: np.ndarray, alpha: float) -> Ridge:
    """Slopes that minimise |changes - slopes * shifts|^2 + alpha |slopes|^2, both centred."""
    scale = float(shifts.std()) or 1.0
    scaled = shifts / scale
    centre, intercept = scaled.mean(axis=0), changes.mean(axis=0)
    left, values, right = np.linalg.svd(scaled - centre, full_matrices=False)
    slopes = right.T @ ((values / (values**2 + alpha))[:, None] * (left.T @ (changes - intercept)))
    return Ridge(scale, centre, intercept, slopes, alpha)


def _error(ridge: Ridge, shifts: np.ndarray, changes: np.ndarray) -> float:
    return float(np.mean((ridge.predict(shifts) - changes) ** 2))


def _left_out(shifts: np.ndarray, changes: np.ndarray, alpha: float) -> float:
    rows = np.arange(len(shifts))
    errors = [
        _error(_fitted(shifts[rows != row], changes[rows != row], alpha), shifts[[row]], changes[[row]])
        for row in rows
    ]
    return float(np.mean(errors))
