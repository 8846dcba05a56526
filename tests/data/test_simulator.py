"""Simulated screens: what is promised of their cells and of their truth."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from anndata import AnnData
from scipy import sparse
from scipy.stats import false_discovery_control, mannwhitneyu

from benchmark.data.simulator import VERSION, SimulatorConfig, Truth, simulate
from benchmark.data.simulator.simulate import _six_digits
from benchmark.errors import BenchmarkError

SMALL = {"n_genes": 60, "n_singles": 8, "n_doubles": 6, "cells_per_perturbation": 20, "n_controls": 60}


def small(**settings: object) -> tuple[AnnData, Truth]:
    """Simulate a small screen."""
    return simulate(SimulatorConfig.build(settings={**SMALL, **settings}))


@pytest.fixture(scope="module")
def screen() -> tuple[AnnData, Truth]:
    """Simulate the default screen."""
    return simulate(SimulatorConfig())


def cells_of(adata: AnnData, label: str) -> np.ndarray:
    """Return the counts of one perturbation, (cells, genes)."""
    return adata[(adata.obs["perturbation"] == label).to_numpy()].X.toarray()


def effects(truth: Truth) -> dict[str, np.ndarray]:
    """Return the noiseless change from control of each perturbation."""
    return dict(zip(truth.perturbations[1:].tolist(), truth.mean[1:] - truth.mean[0], strict=True))


@pytest.mark.slow
def test_the_default_screen_has_the_size_and_form_that_it_says(screen: tuple[AnnData, Truth]) -> None:
    """500 controls, 60 singles and 60 doubles of 50 cells, 200 genes, whole counts in float32 CSR."""
    adata, truth = screen
    assert adata.shape == (500 + 120 * 50, 200)
    assert sparse.issparse(adata.X)
    assert adata.X.format == "csr"
    assert adata.X.dtype == np.float32
    assert np.all(adata.X.data == np.round(adata.X.data))
    assert adata.X.data.min() >= 1
    sizes = adata.obs["perturbation"].value_counts()
    assert sizes.pop("control") == 500
    assert set(sizes) == {50}
    singles = {label for label in sizes.index if "+" not in label}
    doubles = [label.split("+") for label in sizes.index if "+" in label]
    assert len(singles) == len(doubles) == 60
    assert all(pair == sorted(pair) and set(pair) <= singles for pair in doubles)
    assert set(truth.perturbations) == set(adata.obs["perturbation"])
    assert truth.network.genes.tolist() == adata.var_names.tolist()
    assert len(singles & set(truth.modules)) >= 45


def test_nothing_of_the_truth_is_in_the_cells(screen: tuple[AnnData, Truth]) -> None:
    """The AnnData has counts, labels, gene names and the modality, and nothing else."""
    adata, _ = screen
    assert adata.uns == {"modality": "CRISPRa"}
    assert list(adata.obs.columns) == ["perturbation"]
    assert adata.var.columns.empty
    assert all(type(label) is str for label in adata.obs["perturbation"])
    assert not any(len(part) for part in (adata.layers, adata.obsm, adata.varm, adata.obsp, adata.varp))


def test_doubles_deviate_from_additivity(screen: tuple[AnnData, Truth]) -> None:
    """The noiseless deviation is above a tenth of the effect in half of them, in some above a fifth."""
    change = effects(screen[1])
    deviation = []
    for label in (label for label in change if "+" in label):
        first, second = label.split("+")
        residual = change[label] - change[first] - change[second]
        deviation.append(np.linalg.norm(residual) / np.linalg.norm(change[label]))
    assert np.median(deviation) > 0.1
    assert np.quantile(deviation, 0.9) > 0.2


def test_direct_targets_move_in_the_direction_of_the_signed_path(screen: tuple[AnnData, Truth]) -> None:
    """Activation lifts activated targets, measured against a gene that nothing regulates.

    That gene takes out the change of the total, which moves every proportion. Targets with a single
    regulator all agree, the others nearly all.
    """
    truth = screen[1]
    network = truth.network
    in_degree = np.bincount(network.target, minlength=200)
    logs = np.log(np.expm1(truth.mean))
    agree, strict = [], []
    for row, label in enumerate(truth.perturbations):
        edges = network.genes[network.regulator] == label
        standard = np.flatnonzero((in_degree == 0) & (network.genes != label))[0]
        change = logs[row] - logs[0]
        moved = (change - change[standard])[network.target[edges]] * network.sign[edges]
        clear = np.abs(moved) > 0.01
        agree.append(moved[clear] > 0)
        strict.append(moved[clear & (in_degree[network.target[edges]] == 1)] > 0)
    assert np.mean(np.concatenate(agree)) > 0.9
    assert np.concatenate(strict).size >= 3
    assert np.concatenate(strict).all()


def test_a_typical_single_has_differentially_expressed_genes(screen: tuple[AnnData, Truth]) -> None:
    """10 to 60 of 200 by Wilcoxon and Benjamini-Hochberg for the median regulator; other genes about one."""
    adata, truth = screen
    counts = adata.X.toarray()
    logs = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    labels = adata.obs["perturbation"].to_numpy()
    found: dict[bool, list[int]] = {True: [], False: []}
    for label in truth.perturbations[1:61]:
        pvalues = mannwhitneyu(logs[labels == label], logs[labels == "control"], axis=0).pvalue
        found[label in truth.modules].append(int(np.sum(false_discovery_control(pvalues) < 0.05)))
    assert 10 <= np.median(found[True]) <= 60
    assert np.median(found[False]) == 1


def test_variance_exceeds_poisson_by_the_dispersion() -> None:
    """With equal depth and state, variance = m + d m^2: the slope on m^2 is d, and Poisson has none."""
    adata, _ = small(n_controls=4000, depth_spread=0.0, state_strength=0.0, dispersion=0.2)
    counts = cells_of(adata, "control")
    mean, variance = counts.mean(axis=0), counts.var(axis=0)
    high = mean > 20
    assert high.sum() > 10
    assert np.all(variance[high] > 2 * mean[high])
    assert np.median((variance[high] - mean[high]) / mean[high] ** 2) == pytest.approx(0.2, rel=0.1)


def test_depth_is_log_normal() -> None:
    """Median and log-scale standard deviation as configured."""
    adata, _ = small(n_controls=4000, depth=5000.0, depth_spread=0.4, dispersion=0.01)
    log_depth = np.log(cells_of(adata, "control").sum(axis=1))
    assert np.exp(np.median(log_depth)) == pytest.approx(5000, rel=0.03)
    assert log_depth.std() == pytest.approx(0.4, rel=0.05)


@pytest.mark.parametrize("modality", ["knock-out", "knock-down", "CRISPRa", "over-expression"])
def test_the_noiseless_mean_is_what_many_cells_average_to(modality: str) -> None:
    """Quadrature against 4,000 drawn cells, pooled: within five standard errors of each gene."""
    adata, truth = small(modality=modality, n_doubles=1, n_singles=2, cells_per_perturbation=4000)
    assert adata.uns == {"modality": modality}
    for label, mean in zip(truth.perturbations[1:], truth.mean[1:], strict=True):
        counts = cells_of(adata, label).astype(np.float64)
        depth = counts.sum(axis=1, keepdims=True)
        pooled = counts.sum(axis=0) / depth.sum()
        error = (counts - pooled * depth).std(axis=0) / depth.mean() / np.sqrt(len(counts))
        expected = np.expm1(mean) / 1e4
        assert np.all(np.abs(pooled - expected) < 5 * error + 1e-9)


def test_the_expression_of_a_knocked_out_gene_is_zero() -> None:
    """Where no cell escapes, in every cell and in the truth, for both genes of a double."""
    adata, truth = small(modality="knock-out", escape=0.0)
    for label, mean in zip(truth.perturbations[1:], truth.mean[1:], strict=True):
        genes = np.isin(truth.network.genes, label.split("+"))
        assert not cells_of(adata, label)[:, genes].any()
        assert np.all(mean[genes] == 0.0)


@pytest.mark.parametrize(("modality", "sign"), [("knock-down", -1), ("CRISPRa", 1), ("over-expression", 1)])
def test_perturbed_genes_move_as_the_modality_says(modality: str, sign: int) -> None:
    """Down or up for the target of every single."""
    _, truth = small(modality=modality)
    for label, change in effects(truth).items():
        if "+" not in label:
            assert sign * change[truth.network.genes == label][0] > 0


def test_the_same_seed_gives_the_same_data_and_another_seed_other_data() -> None:
    """Counts, labels and truth, bit for bit; and nothing of it survives a change of the seed."""
    (first, truth), (again, same), (other, else_) = small(), small(), small(seed=1)
    assert (first.X != again.X).nnz == 0
    assert first.obs.equals(again.obs)
    np.testing.assert_array_equal(truth.mean, same.mean)
    assert (first.X != other.X).nnz > 0
    assert not np.array_equal(truth.network.strength, else_.network.strength)
    assert set(truth.perturbations) != set(else_.perturbations)


def test_more_cells_of_one_kind_leave_the_others_as_they_are() -> None:
    """Each perturbation has its own stream: more controls change no perturbed cell."""
    few, truth = small()
    many, _ = small(n_controls=90)
    for label in truth.perturbations[1:]:
        np.testing.assert_array_equal(cells_of(few, label), cells_of(many, label))


def test_no_two_perturbations_share_their_noise() -> None:
    """The depths of their cells are uncorrelated, as far as 1,000 cells can tell."""
    adata, truth = small(cells_per_perturbation=1000, n_singles=3, n_doubles=3)
    depths = [cells_of(adata, label).sum(axis=1) for label in truth.perturbations[1:]]
    correlation = np.corrcoef(depths) - np.eye(len(depths))
    assert np.abs(correlation).max() < 0.15


def test_the_global_random_state_is_not_touched() -> None:
    """NumPy's legacy generator is where it was."""
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    small()
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def test_a_change_of_the_data_comes_with_a_new_version() -> None:
    """The counts of a small screen are those of this version; where they change, raise VERSION."""
    digest = hashlib.sha256(small()[0].X.toarray().astype("<i4").tobytes()).hexdigest()
    assert (VERSION, digest[:16]) == ("2", "08434b58a4e78ea6")


def test_rates_are_rounded_to_six_digits() -> None:
    """Neighbouring floating-point numbers become the same, and no value moves by more than 1e-6."""
    values = np.random.default_rng(0).lognormal(0.0, 4.0, 1000)
    rounded = _six_digits(values)
    np.testing.assert_allclose(rounded, values, rtol=1e-6)
    np.testing.assert_array_equal(rounded, _six_digits(np.nextafter(values, np.inf)))
    assert _six_digits(np.zeros(1)) == 0.0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"n_genes": 5}, "'n_genes' should be greater than or equal to 20, but 5"),
        ({"efficacy": 1.5}, "'efficacy' should be less than 1, but 1.5"),
        ({"modality": "prayer"}, "'modality' should be 'knock-out', .* but 'prayer'"),
        ({"n_gene": 100}, "no hyper-parameter 'n_gene'; did you mean 'n_genes'"),
        ({"n_singles": 300}, "300 of 200 genes cannot be perturbed; lower 'n_singles'"),
        ({"n_singles": 5, "n_doubles": 11}, "form 10 pairs, but 11 doubles .* lower 'n_doubles'"),
    ],
)
def test_a_bad_configuration_is_one_sentence(settings: dict[str, object], said: str) -> None:
    """What is wrong and what to do, on one line."""
    with pytest.raises(BenchmarkError, match=said) as error:
        SimulatorConfig.build(settings=settings)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"n_genes": 20, "n_singles": 2, "n_doubles": 0},
        {"n_genes": 20, "n_singles": 20, "n_doubles": 190},
        {"regulator_share": 0.01},
        {"regulator_share": 0.5, "hill": 4.0, "modality": "over-expression"},
    ],
)
def test_configurations_at_the_edge_work(settings: dict[str, object]) -> None:
    """Few genes, all pairs, hardly any regulators, strong feedback."""
    adata, truth = small(**settings)
    assert set(adata.obs["perturbation"]) == set(truth.perturbations)
    assert np.all(np.isfinite(truth.mean))


def test_truth_survives_a_round_trip(tmp_path: Path) -> None:
    """Every array comes back equal, and the file holds no pickled object."""
    _, truth = small()
    truth.save(tmp_path / "deep" / "truth.npz")
    loaded = Truth.load(tmp_path / "deep" / "truth.npz")
    np.testing.assert_array_equal(loaded.mean, truth.mean)
    np.testing.assert_array_equal(loaded.perturbations, truth.perturbations)
    for name, array in vars(truth.network).items():
        np.testing.assert_array_equal(getattr(loaded.network, name), array)
    assert loaded.modules == truth.modules
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["truth.npz"]


def test_modules_are_the_direct_targets() -> None:
    """Each edge is in the module of its regulator, and nothing else is."""
    _, truth = small()
    network = truth.network
    edges = set(zip(network.genes[network.regulator], network.genes[network.target], strict=True))
    assert {(gene, target) for gene, targets in truth.modules.items() for target in targets} == edges


@pytest.mark.parametrize("damage", ["missing", "text", "truncated", "other", "flipped"])
def test_a_damaged_truth_file_is_an_error(tmp_path: Path, damage: str) -> None:
    """One sentence that names the file and says to simulate again."""
    path = tmp_path / "truth.npz"
    small()[1].save(path)
    content = path.read_bytes()
    middle = len(content) // 2
    flipped = bytes(255 - byte for byte in content[middle : middle + 64])
    replacement = {
        "missing": b"",
        "text": b"not an archive",
        "truncated": content[:middle],
        "flipped": content[:middle] + flipped + content[middle + 64 :],
        "other": content,
    }
    path.write_bytes(replacement[damage])
    if damage == "other":
        np.savez(path, mean=np.ones(3), perturbations=np.ones(3))
    if damage == "missing":
        path.unlink()
    with pytest.raises(BenchmarkError, match=r"truth\.npz cannot be read .* simulate the data again"):
        Truth.load(path)


def test_an_interrupted_save_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills up half-way."""
    path = tmp_path / "data" / "truth.npz"
    _, truth = small()
    truth.save(path)
    before = path.read_bytes()

    def fill_disk(file: BinaryIO, **arrays: np.ndarray) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", fill_disk)
    with pytest.raises(BenchmarkError, match="No space left"):
        truth.save(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
