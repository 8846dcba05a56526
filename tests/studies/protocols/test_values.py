"""What a protocol checks before any method runs, against values by hand and plain procedures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.sparse import csr_matrix
from scipy.stats import ttest_ind

from benchmark.data import Dataset, load_dataset
from benchmark.data.cards import DatasetCard
from benchmark.errors import BenchmarkError
from benchmark.splits import load_split, make_split
from benchmark.studies.protocols import (
    Checked,
    load_protocol,
    require_agreement,
    sanity_values,
)
from benchmark.studies.protocols.genes import evaluation_genes, most_variable, top_by_t
from benchmark.studies.protocols.quantities import QUANTITIES, Setting
from tests.studies.protocols.protocol_case import MINI, write_mini, write_mini_card


def dense(dataset: Dataset, *labels: str) -> np.ndarray:
    rows = dataset.adata.obs["perturbation"].isin(labels).to_numpy()
    return dataset.adata.X[rows].toarray().astype(np.float64)


def by_hand() -> Dataset:
    """Three genes: two control cells with mean (1, 0, 2), two of a single, two of a double."""
    cells = {"control": [[0, 0, 2], [2, 0, 2]], "A": [[1, 1, 1], [1, 3, 1]], "A+B": [[4, 0, 6], [4, 0, 6]]}
    labels = [label for label in cells for _ in range(2)]
    obs = pd.DataFrame({"perturbation": labels, "source_label": labels}, dtype=object)
    obs.index = obs.index.astype(str)
    X = csr_matrix(np.concatenate([*cells.values()]), dtype=np.float32)
    return Dataset("hand", AnnData(X, obs=obs), "0" * 64, DatasetCard(name="hand"))


def test_no_change_values_by_hand() -> None:
    """Changes (0, 2, -1) and (3, 0, 4): lengths 5^0.5 and 5, squares 5 and 25, absolute values 3 and 7."""
    dataset = by_hand()
    screen = [f"G{i}" for i in range(20)] + [f"G{i}+G{j}" for i in range(8) for j in range(i)]
    obs = pd.DataFrame({"perturbation": screen, "source_label": screen}, dtype=object)
    obs.index = obs.index.astype(str)
    any_split = make_split(
        Dataset("s", AnnData(np.zeros((len(obs), 1)), obs=obs), "0" * 64, dataset.card), "doubles", 0
    )
    split = any_split.model_copy(update={"test": ("A", "A+B")})
    setting = Setting(dataset, split)
    found = {name: QUANTITIES[name].measure(setting) for name in ("no_change_l2", "no_change_mse")}
    assert found["no_change_l2"] == pytest.approx((5**0.5 + 5) / 2)
    assert found["no_change_mse"] == pytest.approx((5 + 25) / 6)
    assert QUANTITIES["no_change_mae"].measure(setting) == pytest.approx((3 + 7) / 6)
    assert QUANTITIES["no_change_l2_top1000"].measure(setting) == found["no_change_l2"]
    assert QUANTITIES["no_change_mse_top20_t"].measure(setting) == pytest.approx((5 + 25) / 6)
    counted = {"cells": 6, "genes": 3, "labels": 3, "singles": 1, "doubles": 1, "test_doubles": 1}
    assert {name: QUANTITIES[name].measure(setting) for name in counted} == counted


def test_the_genes_of_largest_t_are_those_of_scipy() -> None:
    """Welch's test gene by gene; a gene that is constant on both sides comes last."""
    rng = np.random.default_rng(3)
    control, cells = rng.poisson(2.0, (50, 30)), rng.poisson(rng.uniform(1, 4, 30), (15, 30))
    control[:, 7] = cells[:, 7] = 1
    with np.errstate(invalid="ignore"):
        others = [gene for gene in range(30) if gene != 7]
        t = np.abs(ttest_ind(cells[:, others], control[:, others], equal_var=False).statistic)
    expected = np.array(others)[np.argsort(-t)]
    found = top_by_t(csr_matrix(cells, dtype=np.float32), csr_matrix(control, dtype=np.float32), 30)
    assert found[:29].tolist() == expected.tolist()
    assert found[29] == 7


def literal_most_variable(log_values: np.ndarray, count: int) -> list[int]:
    """Seurat's dispersions, gene by gene and bin by bin; ties with the last gene are kept."""
    counts = np.expm1(log_values.astype(np.float64))
    means, variances = counts.mean(axis=0), counts.var(axis=0, ddof=1)
    heights = np.log1p(np.maximum(means, 1e-12))
    width = (heights.max() - heights.min()) / 20
    bins = [max(int(np.ceil((height - heights.min()) / width)) - 1, 0) for height in heights]
    scores = {}
    for gene in range(len(means)):
        if variances[gene] > 0:
            peers = [
                np.log(variances[other] / means[other])
                for other in range(len(means))
                if bins[other] == bins[gene] and variances[other] > 0
            ]
            own = np.log(variances[gene] / means[gene])
            scores[gene] = 1.0 if len(peers) == 1 else (own - np.mean(peers)) / np.std(peers, ddof=1)
    last = sorted(scores.values(), reverse=True)[:count][-1]
    return [gene for gene in scores if scores[gene] >= last]


@pytest.mark.parametrize("seed", range(4))
def test_the_most_variable_genes_are_those_of_the_plain_procedure(seed: int) -> None:
    """With silent genes, which are never chosen, and with genes alone in their bin."""
    rng = np.random.default_rng(seed)
    counts = rng.negative_binomial(rng.uniform(0.3, 4, 80), 0.3, (60, 80)) * (rng.random(80) < 0.9)
    counts[:, 5] = rng.poisson(200, 60)
    values = np.log1p(counts).astype(np.float32)
    found = most_variable(csr_matrix(values), 12).tolist()
    assert found == literal_most_variable(values, 12)
    every = most_variable(csr_matrix(values), 1000).tolist()
    assert every == np.flatnonzero(counts.any(axis=0)).tolist()


def test_the_scored_genes_are_chosen_by_control_and_test_cells(home: Path) -> None:
    """As scDFM does it; without a number all genes are scored."""
    write_mini(home)
    dataset = load_dataset("mini")
    split = load_split(dataset, "doubles", 0)
    values = dense(dataset, "control", *split.test)
    assert evaluation_genes(dataset, split, 10).tolist() == literal_most_variable(values, 10)
    assert evaluation_genes(dataset, split, None).tolist() == list(range(40))


def test_a_card_drops_perturbations_and_keeps_a_list_of_genes(home: Path) -> None:
    """Whatever the spelling of a label; depth and order of the other cells stay, genes come in list order."""
    write_mini(home)
    whole = load_dataset("mini")
    single = next(label for label in sorted(set(whole.adata.obs["perturbation"])) if "+" not in label)
    double = next(label for label in sorted(set(whole.adata.obs["perturbation"])) if "+" in label)
    genes = [whole.adata.var_names[index] for index in (7, 3, 20)]
    (home / "datasets" / "genes").mkdir()
    (home / "datasets" / "genes" / "three.txt").write_text("\n".join(genes) + "\n")
    write_mini_card(home, f'local_file = "mini.h5ad"\ngenes = "three"\ndrop = ["{single}", "{double}"]\n')
    cut = load_dataset("mini")
    assert list(cut.adata.var_names) == genes
    rest = whole.adata[~whole.adata.obs["perturbation"].isin([single, double])]
    assert list(cut.adata.obs["perturbation"]) == list(rest.obs["perturbation"])
    assert np.array_equal(cut.adata.X.toarray(), rest[:, genes].X.toarray())
    assert cut.adata.X.has_sorted_indices
    (home / "datasets" / "genes" / "three.txt").write_text("\n".join(genes[:2]) + "\n")
    assert load_dataset("mini").adata.n_vars == 2


@pytest.mark.parametrize(
    ("line", "text", "sentence"),
    [
        ('drop = ["NOBODY"]', "", "There is no perturbation to drop 'NOBODY'"),
        ('genes = "thre"', "G1", "There is no gene list 'thre'; did you mean 'three'"),
        ('genes = "three"', "G1 NOGENE", "lacks . of the 2 genes of the list 'three', such as"),
        ('genes = "three"', "", r"gene list .*three\.txt is empty"),
        ('genes = "three"', "A A B", r"gene list .*three\.txt names 1 genes twice"),
    ],
)
def test_what_a_card_cannot_drop_or_keep_is_named(home: Path, line: str, text: str, sentence: str) -> None:
    """A selection that does not fit the data is no selection."""
    write_mini(home, line + "\n")
    (home / "datasets" / "genes").mkdir()
    (home / "datasets" / "genes" / "three.txt").write_text(text)
    with pytest.raises(BenchmarkError, match=sentence):
        load_dataset("mini")


def test_the_shipped_gene_list_of_scdfm_has_its_length() -> None:
    """5,029 symbols, alphabetical as in the published vocabulary."""
    from benchmark.data.genes import gene_list

    genes = gene_list("norman19_scdfm")
    assert len(genes) == 5029
    assert list(genes) == sorted(genes)


def test_sanity_values_are_measured_on_the_split_that_they_name(home: Path) -> None:
    """By seed, or as the mean over all seeds; outside the tolerance they differ."""
    wanted = "".join(
        f'\n[[sanity]]\nquantity = "no_change_mse"\n{seed}expected = 1.0\nsource = "by hand"\n'
        for seed in ("seed = 1\n", "")
    )
    write_mini(home, protocol=MINI + wanted)
    card, dataset = load_protocol("mini_protocol"), load_dataset("mini")
    errors = []
    for seed in (0, 1):
        control = dense(dataset, "control").mean(axis=0)
        test = [dense(dataset, label).mean(axis=0) for label in load_split(dataset, "doubles", seed).test]
        errors.append(np.mean([(mean - control) ** 2 for mean in test]))
    cells, one, every = sanity_values(card, dataset)
    assert cells.found == 256
    assert cells.agrees
    assert one.found == pytest.approx(errors[1], rel=1e-6)
    assert every.found == pytest.approx(np.mean(errors), rel=1e-6)
    with pytest.raises(BenchmarkError, match=r"2 of 3 sanity values .* such as no_change_mse of seed 1"):
        require_agreement(card, [cells, one, every])
    assert require_agreement(card, [cells]) is None


@pytest.mark.parametrize(
    ("found", "tolerance", "agrees"),
    [
        (100.0, 0.0, True),
        (100.5, 0.0, False),
        (104.9, 0.05, True),
        (105.2, 0.05, False),
        (np.nan, 9.0, False),
    ],
)
def test_a_tolerance_is_relative(found: float, tolerance: float, agrees: bool) -> None:
    """And a value that is undefined is never the published one."""
    value = load_protocol("norman_scdfm_additive").sanity[0]
    value = value.model_copy(update={"expected": 100.0, "tolerance": tolerance})
    assert Checked(value, found).agrees == agrees
