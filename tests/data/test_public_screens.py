"""Cards of public screens read files of the form that their pages describe; the files are not here."""

from __future__ import annotations

import gzip
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from benchmark.data.cards import list_cards, load_card
from benchmark.data.dataset import load_dataset
from benchmark.data.download import find
from tests.data.brought import brought, file, normalised, relabelled
from tests.data.test_download import Server

SCPERTURB = [card.name for card in list_cards() if "zenodo.org" in str(card.url)]
PERTURBENCH = ["mcfaline23_a172", "mcfaline23_t98g", "mcfaline23_u87mg"]
GEARS = ["adamson16", "dixit16", "replogle22_k562_gears", "replogle22_rpe1_gears"]


def pair(label: str, separator: str) -> str:
    return label.replace("+", separator).replace("ctrl", "control")


@pytest.mark.parametrize("name", SCPERTURB)
def test_a_screen_in_the_scperturb_form_is_read(tmp_path, monkeypatch, name):
    """Raw counts, labels `control`, A and A_B; one with more genes and those of few cells are left out."""
    card = load_card(name)
    doubles = 5 if card.separator == "_" else 0
    cells = brought(doubles=doubles, cells=12)
    guide = "g1" if card.collapse_guides else ""
    cells = relabelled(
        cells,
        lambda i, s: "G0_G1_G2" if doubles and i == 25 else pair(s, "_") + (guide if s != "ctrl" else ""),
    )
    cells.obs = cells.obs.rename(columns={"condition": "perturbation"})
    for column, value in card.keep.items():
        cells.obs[column] = value
    monkeypatch.setenv("BENCHMARK_DATA", str(tmp_path))
    file(tmp_path, cells, str(card.local_file))
    found = load_dataset(name).adata.obs["perturbation"].value_counts().to_dict()
    assert found["control"] == 20
    assert sum("+" in label for label in found) == doubles
    assert {"G0", "G7"} <= set(found)


@pytest.mark.parametrize("name", PERTURBENCH)
def test_a_screen_in_the_perturbench_form_is_unpacked_and_one_line_without_drugs_is_kept(
    tmp_path, monkeypatch, name
):
    """Counts in a layer beside log values, genes that are a panel, depth over all genes in a column."""
    card = load_card(name)
    line = card.keep["cell_type"]
    cells = relabelled(brought(cells=24), lambda i, label: label.replace("ctrl", "control"))
    cells.layers["counts"] = cells.X.copy()
    cells.X = normalised(cells, 2e4).X
    cells.obs["ncounts"] = 2000.0
    cells.obs["cell_type"] = [line if i % 4 else "another" for i in range(cells.n_obs)]
    cells.obs["treatment"] = ["vehicle" if i % 3 else "trametinib" for i in range(cells.n_obs)]
    packed = file(tmp_path, cells, "whole.h5ad").read_bytes()
    (tmp_path / str(card.local_file)).write_bytes(gzip.compress(packed))
    monkeypatch.setenv("BENCHMARK_DATA", str(tmp_path))
    adata = load_dataset(name).adata
    kept = [i for i in range(cells.n_obs) if i % 4 and i % 3]
    assert list(adata.obs["source_label"]) == list(cells.obs["condition"].iloc[kept])
    counts = cells.layers["counts"].toarray()[kept]
    assert adata.X.toarray() == pytest.approx(np.log1p(counts / 2000 * 1e4), rel=1e-5)


@pytest.mark.parametrize("name", GEARS)
def test_a_screen_in_the_gears_form_is_unpacked_and_taken_as_published(tmp_path, monkeypatch, name):
    """log1p of counts per median, genes selected afterwards: published numbers rest on these values."""
    card = load_card(name)
    cells = normalised(brought(), 2e4)[:, [f"G{i}" for i in range(12)]].copy()
    cells = relabelled(cells, lambda i, label: label if label == "ctrl" else f"{label}+ctrl")
    cells.var["gene_name"] = list(cells.var_names)
    with zipfile.ZipFile(tmp_path / str(card.local_file), "w") as archive:
        archive.write(file(tmp_path, cells), card.member)
    monkeypatch.setenv("BENCHMARK_DATA", str(tmp_path))
    dataset = load_dataset(name)
    assert dataset.adata.X.toarray() == pytest.approx(cells.X)
    assert set(dataset.adata.obs["perturbation"]) == {"control", *(f"G{i}" for i in range(8))}


def test_a_card_downloads_from_its_address_and_pins_what_came(tmp_path, monkeypatch, home):
    """Where the address is, a server of this test stands in."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("BENCHMARK_DATA", raising=False)
    path = file(tmp_path, brought())
    with Server().running() as server:
        server.body = path.read_bytes()
        card = load_card("papalexi21").model_copy(update={"url": server.url})
        assert find(card).read_bytes() == path.read_bytes()
        assert find(card).name == "PapalexiSatija2021_eccite_RNA.h5ad"
    assert server.requests == 1


@pytest.mark.parametrize("name", [*SCPERTURB, *PERTURBENCH, *GEARS])
def test_what_was_not_seen_is_said_on_its_page(name):
    card = load_card(name)
    assert "has not seen this file" in card.notes
    assert card.sha256 is None
    assert card.citation
    assert card.licence


def test_the_glioblastoma_cells_of_perturbench_are_of_one_line():
    folders = os.environ.get("BENCHMARK_DATA", "").split(os.pathsep)
    if not any((Path(folder) / "norman19_devel.h5ad").is_file() for folder in folders):
        pytest.skip("norman19_devel.h5ad is in no folder of BENCHMARK_DATA")
    adata = load_dataset("mcfaline23_devel").adata
    assert adata.shape == (865, 500)
    assert adata.obs["perturbation"].nunique() == 10
