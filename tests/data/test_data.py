"""Loading datasets: by card, by path, from the cache, and what each side of a run may see of them."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad
from scipy import sparse

from benchmark.data.blocks import layers_of
from benchmark.data.cards import DatasetCard, load_card
from benchmark.data.dataset import Dataset, availability, load_dataset
from benchmark.data.digests import content_digest
from benchmark.data.simulator.embedded import load_truth
from benchmark.errors import BenchmarkError
from benchmark.machine.paths import cache_folder
from benchmark.splits import make_split
from benchmark.splits.views import held_out_cells, training_views

OPTIONS = {"perturbation_column": "gene", "control_label": "none", "expression": "counts"}
LABELS = ["none", "A", "B", "C", "D", "A+B", "A+C", "D+B", "C+D"]


def write(path: Path, labels: list[str] = LABELS) -> Path:
    """Write a screen of ten genes, three cells per label."""
    rng = np.random.default_rng(0)
    rows = [label for label in labels for _ in range(3)]
    obs = pd.DataFrame({"gene": rows}, index=[f"c{i}" for i in range(len(rows))])
    var = pd.DataFrame(index=[f"g{i}" for i in range(10)])
    counts = sparse.csr_matrix(rng.poisson(2, (len(rows), 10)) + 1.0)
    AnnData(X=counts, obs=obs, var=var).write_h5ad(path)
    return path


@pytest.fixture
def screen(tmp_path: Path) -> Path:
    return write(tmp_path / "my screen.h5ad")


def prepared() -> list[Path]:
    return sorted(cache_folder("prepared").iterdir())


def real(name: str) -> Dataset:
    card = load_card(name)
    folders = os.environ.get("BENCHMARK_DATA", "").split(os.pathsep)
    if not any((Path(folder) / str(card.local_file)).is_file() for folder in folders):
        pytest.skip(f"{card.local_file} is in no folder of BENCHMARK_DATA")
    return load_dataset(name)


def test_any_h5ad_is_loaded_by_its_path(screen: Path) -> None:
    """Its name is the file's, in a form that is fit for folders."""
    dataset = load_dataset(str(screen), **OPTIONS)
    assert dataset.name == "my_screen"
    assert dataset.adata.shape == (27, 10)
    assert dataset.digest == content_digest(dataset.adata)
    assert dict(dataset.adata.uns) == {"modality": "unknown"}


def test_a_file_named_like_a_card_does_not_pass_for_it(tmp_path: Path) -> None:
    """Otherwise its results and splits would be taken for the shipped dataset's."""
    path = write(tmp_path / "norman19_devel.h5ad")
    assert load_dataset(str(path), **OPTIONS).name == "norman19_devel.file"


def test_the_second_load_is_equal_and_does_not_prepare_again(
    screen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The prepared file stands in for the source."""
    first = load_dataset(str(screen), **OPTIONS)
    monkeypatch.delattr("benchmark.data.source.canonicalise")
    second = load_dataset(str(screen), **OPTIONS)
    assert first.digest == second.digest
    assert first.adata.obs.equals(second.adata.obs)
    assert (first.adata.X != second.adata.X).nnz == 0
    assert len(prepared()) == 1


def test_other_options_or_content_are_prepared_separately(screen: Path, tmp_path: Path) -> None:
    """The cache is keyed by what is read and how."""
    first = load_dataset(str(screen), **OPTIONS)
    other = load_dataset(str(screen), **{**OPTIONS, "control_label": "A"}, drop=("C",))
    write(screen, LABELS[:-1])
    third = load_dataset(str(screen), **OPTIONS)
    assert len({first.digest, other.digest, third.digest}) == 3
    assert len(prepared()) == 3


@pytest.mark.parametrize("damage", ["truncated", "edited"])
def test_a_damaged_prepared_file_is_made_again_and_said(
    screen: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A cache that was cut short or changed is never used."""
    first = load_dataset(str(screen), **OPTIONS)
    (path,) = prepared()
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        adata = read_h5ad(path)
        adata.layers["counts"][0, 0] += 1
        adata.write_h5ad(path)
    with caplog.at_level(logging.WARNING, "benchmark"):
        again = load_dataset(str(screen), **OPTIONS)
    assert again.digest == first.digest
    assert "is damaged and is made again" in caplog.text


def test_data_that_cannot_be_used_leave_no_prepared_file(screen: Path) -> None:
    """Nothing half-written after a refusal."""
    with pytest.raises(BenchmarkError, match="whole numbers"):
        load_dataset(str(screen), **{**OPTIONS, "expression": "log1p"})
    assert not cache_folder("prepared").exists()


@pytest.mark.slow
def test_processes_that_prepare_the_same_data_at_once_do_not_disturb_each_other(screen: Path) -> None:
    """Three processes start together on an empty cache; all see the same data."""
    code = (
        f"from benchmark.data import load_dataset; print(load_dataset({str(screen)!r}, **{OPTIONS}).digest)"
    )
    root = Path(__file__).parents[2]
    started = [
        subprocess.Popen([sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert len({process.communicate()[0] for process in started}) == 1
    assert [process.returncode for process in started] == [0, 0, 0]
    assert len(prepared()) == 1


def test_missing_and_truncated_files_are_one_sentence(screen: Path, tmp_path: Path) -> None:
    """The sentence names the path."""
    with pytest.raises(BenchmarkError, match=r"There is no file .*gone\.h5ad; check the path"):
        load_dataset(str(tmp_path / "gone.h5ad"), **OPTIONS)
    for content in (screen.read_bytes()[:5000], b"", b"text"):
        screen.write_bytes(content)
        with pytest.raises(BenchmarkError, match=r"cannot be read as an \.h5ad file") as caught:
            load_dataset(str(screen), **OPTIONS)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "say how to read it with --perturbation-column"),
        ({"perturbation_column": "gene"}, "say how to read it with --control-label"),
        (
            {**OPTIONS, "expression": "log2"},
            "--expression is 'log2', but: Input should be 'counts' or 'log1p'",
        ),
        ({**OPTIONS, "perturbation_column": "genes"}, "no column of obs 'genes'; did you mean 'gene'?"),
    ],
)
def test_a_path_needs_to_be_told_how_to_read_it(screen: Path, options: dict[str, str], sentence: str) -> None:
    """Columns and control are never guessed."""
    with pytest.raises(BenchmarkError) as caught:
        load_dataset(str(screen), **options)
    assert sentence in str(caught.value)


def test_a_card_is_not_overruled_by_options() -> None:
    """An option that would be ignored is refused."""
    with pytest.raises(BenchmarkError, match=r"--control-label is for \.h5ad files"):
        load_dataset("simulated", control_label="x")


def test_the_digest_covers_genes_labels_and_numbers(screen: Path) -> None:
    """Changing any of them changes it; the names of cells do not matter."""
    adata = load_dataset(str(screen), **OPTIONS).adata
    digests = {content_digest(adata)}
    for change in ("genes", "labels", "counts", "depth", "cells"):
        other = adata.copy()
        if change == "genes":
            other.var_names = [*adata.var_names[:-1], "last"]
        elif change == "labels":
            other.obs["perturbation"] = other.obs["perturbation"].replace("A", "Z")
        elif change == "counts":
            other.layers["counts"].data[-1] += 1
        elif change == "depth":
            other.obs["depth"] += 1
        else:
            other.obs_names = [f"x{name}" for name in adata.obs_names]
        digests.add(content_digest(other))
    assert len(digests) == 5


@pytest.mark.slow
def test_the_simulated_screen_is_the_embedded_dataset_and_its_truth_is_apart() -> None:
    """The default needs no file; its truth lies in a file of its own, and is made again when that is lost."""
    dataset = load_dataset("simulated")
    assert dataset.card.modality == "simulated"
    truth = load_truth(dataset.card)
    assert set(truth.perturbations) == set(dataset.adata.obs["perturbation"])
    (path,) = cache_folder("simulated").iterdir()
    path.unlink()
    assert np.array_equal(load_truth(dataset.card).mean, truth.mean)


def test_only_simulated_data_have_a_truth(screen: Path) -> None:
    """Asking for the truth of measured cells is an error of the user."""
    with pytest.raises(BenchmarkError, match="not simulated, so its truth is unknown"):
        load_truth(load_dataset(str(screen), **OPTIONS).card)


def test_availability_says_what_the_next_load_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Simulated, here, to be downloaded, or missing with what to do about it."""
    monkeypatch.setenv("BENCHMARK_DATA", str(tmp_path))
    card = DatasetCard(name="x", local_file="x.h5ad")
    assert availability(load_card("simulated")) == "simulated here"
    assert availability(card) == "missing: put x.h5ad into BENCHMARK_DATA"
    assert availability(card.model_copy(update={"url": "http://example.org"})) == "downloaded on first use"
    (tmp_path / "x.h5ad").touch()
    assert availability(card) == "on this machine"


def test_a_card_without_checksum_pins_one_and_is_prepared_once(
    home: Path, screen: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The pinned checksum is the key of the prepared file, which then serves without the source."""
    (home / "datasets").mkdir()
    (home / "datasets" / "mine.toml").write_text(
        f'local_file = "{screen.name}"\n'
        'expression = "counts"\nperturbation_column = "gene"\ncontrol_label = "none"'
    )
    monkeypatch.setenv("BENCHMARK_DATA", str(screen.parent))
    first = load_dataset("mine")
    assert "pinned SHA-256" in caplog.text
    screen.unlink()
    assert load_dataset("mine").digest == first.digest
    assert availability(first.card) == "on this machine"


def test_norman19_devel_has_the_cells_and_counts_that_its_source_describes() -> None:
    """3,375 cells, 500 genes, 18 singles, 15 doubles; counts come out whole and reproduce X."""
    adata = real("norman19_devel").adata
    labels = set(adata.obs["perturbation"]) - {"control"}
    assert adata.shape == (3375, 500)
    assert [sum("+" in label for label in labels), len(labels)] == [15, 33]
    counts = adata.layers["counts"]
    assert np.array_equal(counts.data, np.round(counts.data))
    ratio = np.expm1(adata.X.astype(np.float64)).data / counts.data
    per_cell = np.split(ratio, adata.X.indptr[1:-1])
    assert max(np.ptp(values) / values.min() for values in per_cell) < 1e-3


@pytest.mark.parametrize(
    ("name", "shape", "singles", "doubles"),
    [
        ("carpool_semi", (12660, 1000), 28, 158),
        ("norman_semi", (21720, 1000), 104, 130),
        ("norman19_singles", (65359, 23), 105, 0),
    ],
)
def test_counts_of_some_genes_are_normalised_by_the_depth_over_all(
    name: str, shape: tuple[int, int], singles: int, doubles: int
) -> None:
    """The cells are those that the card promises; X is recomputed here from counts and depth."""
    adata = real(name).adata
    labels = set(adata.obs["perturbation"]) - {"control"}
    assert adata.shape == shape
    assert [sum("+" in label for label in labels), len(labels)] == [doubles, singles + doubles]
    counts = adata.layers["counts"][:50].toarray().astype(np.float64)
    expected = np.log1p(counts / adata.obs["depth"].to_numpy()[:50, None] * 1e4)
    assert adata.X[:50].toarray() == pytest.approx(expected, rel=1e-6)
    assert (adata.obs["depth"].to_numpy() > np.asarray(adata.layers["counts"].sum(1)).ravel()).all()


def test_views_hold_training_and_validation_cells_and_nothing_of_the_test(screen: Path) -> None:
    """Every cell of a perturbation is on one side; controls are for training only."""
    dataset = load_dataset(str(screen), **OPTIONS)
    split = make_split(dataset, "doubles", 0)
    train, validation = training_views(dataset, split)
    assert set(train.obs["perturbation"]) == {"control", *split.train}
    assert set(validation.obs["perturbation"]) == set(split.validation)
    assert {
        label: cells.shape[0] for label, cells in held_out_cells(dataset, split).items()
    } == dict.fromkeys(split.test, 3)
    for view in (train, validation):
        assert view.obs.columns.tolist() == ["perturbation", "context", "batch"]
        assert dict(view.uns) == {"modality": "unknown", "gene_sets": "go_basic"}
        assert set(layers_of(view)) == {"counts"}
        assert not view.is_view


def test_views_are_copies(screen: Path) -> None:
    """A method that changes its training cells changes nothing else."""
    dataset = load_dataset(str(screen), **OPTIONS)
    train, _ = training_views(dataset, make_split(dataset, "doubles", 0))
    train.X.data[:] = 0
    train.layers["counts"].data[:] = 0
    train.obs["perturbation"] = "changed"
    train.uns["modality"] = "changed"
    assert content_digest(dataset.adata) == dataset.digest
    assert dataset.adata.X.data.all()
    assert dataset.adata.uns["modality"] == "unknown"


def test_a_full_disk_is_one_sentence_and_leaves_no_prepared_file(
    screen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next load starts from the source again."""
    opened = Path.open

    def full(self: Path, mode: str = "r", *rest: Any, **options: Any) -> Any:
        return opened(Path("/dev/full") if mode == "wb" else self, mode, *rest, **options)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(BenchmarkError, match=r"could not be written \(No space left on device\); make room"):
        load_dataset(str(screen), **OPTIONS)
    assert prepared() == []
