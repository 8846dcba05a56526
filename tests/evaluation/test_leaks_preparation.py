"""A data set is prepared alike without its test cells, or the check of its splits fails."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from anndata import AnnData
from scipy.sparse import csr_matrix

from benchmark.data import canonical, load_dataset
from benchmark.evaluation.leaks import examine
from benchmark.splits import load_split


@pytest.mark.slow
def test_the_embedded_data_set_is_prepared_alike_without_its_test_cells() -> None:
    """Six checks, none a leak, and nothing was selected by expression."""
    dataset = load_dataset("simulated")
    findings = examine(dataset, load_split(dataset, "doubles", 0))
    assert not any(finding.is_leak for finding in findings)
    assert findings[4].sentence.startswith("repeated without the test cells, it gives the same 200 genes")
    assert findings[5].sentence == "not selected by what cells express: there is nothing to repeat"


def test_a_gene_selection_that_test_cells_decide_is_found(
    home: Path, type_: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A preparation that keeps the 25 genes of largest variance over all cells."""
    whole = canonical.canonicalise

    def selecting(adata: AnnData, card: object, **options: bool) -> AnnData:
        prepared = whole(adata, card, **options)
        variance = prepared.X.toarray().var(axis=0)
        return prepared[:, np.sort(np.argsort(-variance, kind="stable")[:25])].copy()

    monkeypatch.setattr("benchmark.data.source.canonicalise", selecting)
    monkeypatch.setattr("benchmark.evaluation.leaks.canonicalise", selecting)
    write_card(home, "picky", 'expression = "counts"\n', lambda adata: spike(adata))
    assert type_("splits", "make", "--dataset", "picky")[0] == 0
    code, out, err = type_("splits", "check", "--dataset", "picky")
    assert code == 2
    (line,) = [line for line in out.splitlines() if line.startswith("preparation: ")]
    assert re.fullmatch(r"preparation: without test cells \d+ of its 25 genes would not be selected", line)
    assert f"is not sound: {line}" in err
    assert len(err.strip().splitlines()) == 1


def test_a_selection_on_all_cells_by_whoever_made_the_file_fails_the_check(
    home: Path, type_: Callable
) -> None:
    """It cannot be repeated, but the card says it, and so does the check."""
    write_card(home, "picky", 'expression = "counts"\ngene_selection = "all cells"\n')
    assert type_("splits", "make", "--dataset", "picky")[0] == 0
    code, out, err = type_("splits", "check", "--dataset", "picky")
    assert code == 2
    assert "genes: those of the file were selected on all cells, test cells among them" in out
    assert "selected on all cells" in err


def test_counts_that_test_cells_decide_are_found(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A preparation that scales all cells by the deepest one."""
    whole = canonical.canonicalise

    def scaling(adata: AnnData, card: object, **options: bool) -> AnnData:
        prepared = whole(adata, card, **options)
        prepared.X = csr_matrix(prepared.X / prepared.X.max())
        return prepared

    write_card(home, "scaled", 'expression = "counts"\n', lambda adata: spike(adata))
    monkeypatch.setattr("benchmark.data.source.canonicalise", scaling)
    monkeypatch.setattr("benchmark.evaluation.leaks.canonicalise", scaling)
    dataset = load_dataset("scaled")
    finding = examine(dataset, load_split(dataset, "doubles", 0))[4]
    assert finding.is_leak
    assert finding.sentence == "without test cells the other cells would have another X"


def write_card(home: Path, name: str, lines: str, change: Callable = lambda adata: None) -> None:
    """A data set of the user's: a card, and a tiny screen in the cache."""
    from benchmark.data.simulator import SimulatorConfig, simulate

    cells, _ = simulate(
        SimulatorConfig(n_genes=40, n_singles=8, n_doubles=10, cells_per_perturbation=12, n_controls=40)
    )
    change(cells)
    folder = home / "datasets" / "cache" / "downloads"
    folder.mkdir(parents=True)
    cells.write_h5ad(folder / f"{name}.h5ad")
    (home / "datasets" / f"{name}.toml").write_text(f'local_file = "{name}.h5ad"\n{lines}')


def spike(adata: AnnData) -> None:
    """Make one gene, silent everywhere else, the most variable by the cells of a test double."""
    labels = adata.obs["perturbation"].astype(str)
    doubles = sorted({label for label in labels if "+" in label})
    order = np.array(doubles)
    np.random.RandomState(42).shuffle(order)
    dense = csr_matrix(adata.X).toarray()
    dense[:, 0] = 0
    dense[np.flatnonzero(labels == order[0])[::2], 0] = 100_000
    adata.X = csr_matrix(dense)
