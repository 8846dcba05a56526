"""Small screens whose genes combine by a known rule."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix

from benchmark.perturbation import Perturbation
from methods._pseudobulk import Changes
from methods.boosted import BoostedConfig
from methods.gated import GatedConfig

PERTURBED = tuple(f"P{number}" for number in range(9))
MEASURED = 60
BASE = 4.0
"""Expression of control cells: so high that no change ends at zero."""

SMALL = GatedConfig(width=16, vector=2, dropout=0.0, learning_rate=1e-2)
QUICK = BoostedConfig(trees=30, learning_rate=0.2)

Rule = Callable[[np.ndarray, np.ndarray], np.ndarray]


def add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The two effects add up."""
    return a + b


def saturate(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Where both effects have one sign, most of the smaller one is lost."""
    smaller = np.where(np.abs(a) < np.abs(b), a, b)
    return a + b - 0.8 * smaller * (a * b > 0)


def changes(rule: Rule, *, noise: float = 0.0, seed: int = 0, genes: tuple[str, ...] = PERTURBED) -> Changes:
    """All singles and doubles of some genes, combined by a rule."""
    rng = np.random.default_rng(seed)
    effects = {gene: rng.normal(0, 0.5, MEASURED) for gene in PERTURBED}
    known = {Perturbation((gene,)): effects[gene] for gene in genes}
    known |= {Perturbation((a, b)): rule(effects[a], effects[b]) for a, b in combinations(genes, 2)}
    perturbations = tuple(sorted(known))
    values = np.stack([known[p] for p in perturbations])
    return Changes(perturbations, values + noise * rng.normal(size=values.shape), np.full(MEASURED, BASE))


def part(whole: Changes, rows: list[int]) -> Changes:
    """Some of the perturbations."""
    return Changes(tuple(whole.perturbations[row] for row in rows), whole.values[rows], whole.control_mean)


def cells(some: Changes, control: bool = True) -> AnnData:
    """One cell per perturbation, which has its mean, and one control cell."""
    labels = ["control"] * control + [str(p) for p in some.perturbations]
    means = np.vstack([some.control_mean[None][: int(control)], some.control_mean + some.values])
    names = [f"cell-{row}" for row in range(len(labels))]
    return AnnData(
        csr_matrix(means.astype(np.float32)),
        obs=pd.DataFrame({"perturbation": labels}, index=names),
        var=pd.DataFrame(index=[f"G{column}" for column in range(means.shape[1])]),
    )


def divided(whole: Changes, every: int = 4) -> tuple[AnnData, AnnData, Changes]:
    """Training and validation cells, and the doubles that neither holds: one of so many."""
    doubles = [row for row, p in enumerate(whole.perturbations) if p.is_double]
    asked, judged = doubles[::every], doubles[1 :: 3 * every]
    learned = [row for row in range(len(whole.perturbations)) if row not in {*asked, *judged}]
    return cells(part(whole, learned)), cells(part(whole, judged), control=False), part(whole, asked)


def error(method, asked: Changes) -> float:
    """Mean squared error of the predicted changes."""
    predicted = np.stack([method.shift(p) for p in asked.perturbations])
    return float(np.mean((predicted - asked.values) ** 2))
