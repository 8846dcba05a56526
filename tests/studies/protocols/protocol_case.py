"""A small screen as GEARS writes it, with a card and a protocol of its own."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from anndata import AnnData

from benchmark.data.canonical import canonicalise
from benchmark.data.cards import DatasetCard
from benchmark.data.simulator import SimulatorConfig, simulate

CONTROLS = 40


MINI = """
title = "A small screen"
citation = "Doe (2020)"
dataset = "mini"
split = "doubles"
seeds = [0, 1]
cells = 40
metrics = ["mse", "pearson"]

[[sanity]]
quantity = "cells"
expected = 256
source = "counted"

[[published]]
method = "Best"
metrics = { mse = 0.001 }
other = { "Rank score" = 0.9 }
source = "figure"

[[published]]
method = "Second"
group = "double"
metrics = { mse = 0.5, pearson = 0.25 }
source = "table"
citation = "Roe (2021)"
note = "one seed"
"""


def mini_cells() -> AnnData:
    """A screen as GEARS writes it: `A+ctrl` and `ctrl+A` for singles, log1p values, symbols in a column."""
    counts, _ = simulate(
        SimulatorConfig(n_genes=40, n_singles=8, n_doubles=10, cells_per_perturbation=12, n_controls=CONTROLS)
    )
    log = canonicalise(counts, DatasetCard(name="mini", expression="counts"))
    written = {}
    for number, label in enumerate(sorted(set(log.obs["perturbation"]))):
        single = f"ctrl+{label}" if number % 2 else f"{label}+ctrl"
        written[label] = "ctrl" if label == "control" else label if "+" in label else single
    return AnnData(
        log.X,
        obs=pd.DataFrame({"condition": log.obs["perturbation"].map(written).astype(str)}),
        var=pd.DataFrame({"gene_name": log.var_names}, index=[f"ENSG{index}" for index in range(log.n_vars)]),
    )


def write_mini(home: Path, extra: str = "", protocol: str = MINI) -> None:
    """The screen in the cache with its card, and a protocol on it."""
    downloads = home / "datasets" / "cache" / "downloads"
    downloads.mkdir(parents=True)
    mini_cells().write_h5ad(downloads / "mini.h5ad")
    write_mini_card(home, f'local_file = "mini.h5ad"\n{extra}')
    write_protocol(home, protocol)


def write_mini_card(home: Path, lines: str) -> None:
    (home / "datasets").mkdir(exist_ok=True)
    (home / "datasets" / "mini.toml").write_text(
        'perturbation_column = "condition"\ncontrol_label = "ctrl"\nexpression = "log1p"\n'
        f'gene_name_column = "gene_name"\n{lines}'
    )


def write_protocol(home: Path, text: str, name: str = "mini_protocol") -> None:
    folder = home / "leaderboard" / "protocols"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.toml").write_text(text)
