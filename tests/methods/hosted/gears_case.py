"""Cells, gene sets and a fitted GEARS that the tests of the hosted method share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from anndata import AnnData

from benchmark.perturbation import Perturbation
from benchmark.testing.case import tiny_panel
from methods.gears import Gears, GearsConfig

PANEL = tiny_panel(0, 40)
TRAINED = [Perturbation.parse(label) for label in PANEL.split.train]
UNMEASURED = min(gene for perturbation in TRAINED for gene in perturbation.genes)
"""A gene that is perturbed in training, and taken from the panel here."""
SEED = 5
GENES = sorted(PANEL.dataset.adata.var_names)


def terms_of_genes(seed: int = 0) -> dict[str, set[str]]:
    """Four of twenty terms for each gene, so few that many pairs of genes are equally alike."""
    random = np.random.default_rng(seed)
    return {gene: {f"T{term:02d}" for term in random.choice(20, 4, replace=False)} for gene in GENES}


def write_gene_sets(path: Path, terms: dict[str, set[str]]) -> Path:
    """Write terms of genes the other way round, one term a line."""
    sets: dict[str, list[str]] = {}
    for gene in sorted(terms):
        for term in terms[gene]:
            sets.setdefault(term, []).append(gene)
    path.write_text("".join("\t".join([term, "", *sets[term]]) + "\n" for term in sorted(sets)))
    return path


def cells() -> tuple[AnnData, AnnData, AnnData]:
    """Training cells, validation cells and training controls, none with the unmeasured gene."""
    train, validation = (view[:, view.var_names != UNMEASURED].copy() for view in PANEL.views)
    control = train[train.obs["perturbation"] == "control"].copy()
    return train, validation, control


def method(gene_sets: Path | str, preset: str = "smoke", **settings: object) -> Gears:
    """Make an unfitted GEARS for the CPU."""
    config = GearsConfig.build(preset, {"gene_sets": str(gene_sets), **settings})
    return Gears(config, seed=SEED, device="cpu")
