"""Small screens of the kinds that people bring: made-up counts, written as files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from benchmark.data.dataset import Dataset, load_dataset
from benchmark.errors import BenchmarkError

HOW = {"perturbation_column": "condition", "control_label": "ctrl", "expression": "counts"}
LOGS = {**HOW, "expression": "log1p"}


def brought(
    singles: int = 8, doubles: int = 0, controls: int = 20, cells: int = 6, seed: int = 0
) -> ad.AnnData:
    """Counts of 20 genes: labels ctrl, G0.., G0+G1.. in obs["condition"]."""
    rng = np.random.default_rng(seed)
    pairs = [(i, j) for i in range(singles) for j in range(i + 1, singles)][:doubles]
    labels = ["ctrl"] * controls + [f"G{i}" for i in range(singles) for _ in range(cells)]
    labels += [f"G{i}+G{j}" for i, j in pairs for _ in range(cells)]
    share = rng.gamma(1.0, 1.0, 20) + 0.2
    counts = np.array([rng.multinomial(n, share / share.sum()) for n in rng.poisson(500, len(labels))])
    obs = pd.DataFrame({"condition": labels}, index=[f"c{i}" for i in range(len(labels))])
    var = pd.DataFrame(index=[f"G{i}" for i in range(20)])
    return ad.AnnData(sparse.csr_matrix(counts.astype(np.float32)), obs=obs, var=var)


def normalised(cells: ad.AnnData, target: float, base: float | None = None) -> ad.AnnData:
    """The same cells as log(1 + counts at a sum per cell), of base e unless said."""
    counts = cells.X.toarray().astype(float)
    logs = np.log1p(counts / counts.sum(1, keepdims=True) * target)
    changed = cells.copy()
    changed.X = (logs / (np.log(base) if base else 1)).astype(np.float32)
    return changed


def relabelled(cells: ad.AnnData, rule: Callable[[int, str], Any]) -> ad.AnnData:
    """The same cells with labels by number and label of before."""
    changed = cells.copy()
    changed.obs["condition"] = [rule(number, label) for number, label in enumerate(cells.obs["condition"])]
    return changed


def guides(cells: ad.AnnData) -> ad.AnnData:
    """Two guides for each gene."""
    return relabelled(
        cells, lambda number, label: label if label == "ctrl" else f"{label}_sg{1 + number % 2}"
    )


def file(folder: Path, cells: ad.AnnData, name: str = "brought.h5ad") -> Path:
    """Write cells, and return where."""
    folder.mkdir(parents=True, exist_ok=True)
    cells.write_h5ad(folder / name)
    return folder / name


def labels_of(dataset: Dataset) -> dict[str, int]:
    """Cells by label."""
    return dataset.adata.obs["perturbation"].value_counts().to_dict()


def refusal(path: Path, how: dict[str, Any]) -> str:
    """What is said of a file that is not read, in one line."""
    with pytest.raises(BenchmarkError) as caught:
        load_dataset(str(path), **how)
    assert "\n" not in str(caught.value)
    return str(caught.value)
