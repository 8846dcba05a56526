"""Two families of genes with an effect each: what an unseen member borrows, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.sparse import csr_matrix

from benchmark.errors import BenchmarkError
from benchmark.perturbation import Perturbation
from methods.nearest import Nearest, NearestConfig

FAMILIES = {"one": "ABCDE", "two": "PQRST"}
EFFECTS = {"one": np.array([2.0, 0, 0, 0.5]), "two": np.array([0, 1.0, -1.0, 0.5])}
SEEN = {"one": "ABCD", "two": "PQRS"}


def cells(noise: float = 0.05) -> AnnData:
    """One cell for each single of a family but the last gene of each, and a control cell."""
    rng = np.random.default_rng(0)
    means = {"control": np.full(4, 5.0)}
    for family, genes in SEEN.items():
        means |= {gene: 5 + EFFECTS[family] + noise * rng.normal(size=4) for gene in genes}
    obs = pd.DataFrame({"perturbation": list(means)}, index=[f"cell-{row}" for row in range(len(means))])
    var = pd.DataFrame(index=["G1", "G2", "G3", "G4"])
    return AnnData(csr_matrix(np.stack(list(means.values()))).astype(np.float32), obs=obs, var=var)


@pytest.fixture
def sets(tmp_path: Path) -> str:
    """A file of gene sets: the families."""
    lines = ["\t".join((family, "", *genes)) for family, genes in FAMILIES.items()]
    path = tmp_path / "families.gmt"
    path.write_text("\n".join(lines))
    return str(path)


def fit(train: AnnData, **settings) -> Nearest:
    """Fit without validation cells."""
    return Nearest(NearestConfig(**settings)).fit(train, train[:0])


def test_an_unseen_gene_borrows_from_its_family(sets):
    method = fit(cells(), gene_sets=sets)
    assert (method.space_, method.trust_) == ("gene_sets", 1.0)
    np.testing.assert_allclose(method.shift(Perturbation(("E",))), EFFECTS["one"], atol=0.15)
    np.testing.assert_allclose(method.shift(Perturbation(("T",))), EFFECTS["two"], atol=0.15)


def test_trust_moves_from_the_mean_effect_to_that_of_the_neighbours(sets):
    method = fit(cells(), gene_sets=sets, space="gene_sets", neighbours=4, trust=0.25)
    effects = dict(zip(method.genes_, method.effects_, strict=True))
    family = np.mean([effects[gene] for gene in SEEN["one"]], axis=0)
    mean = np.mean(list(effects.values()), axis=0)
    expected = method.intercept_ + 0.75 * mean + 0.25 * family
    np.testing.assert_allclose(method.shift(Perturbation(("E",))), expected, atol=1e-6)


def test_a_seen_gene_is_its_own_effect_and_a_double_is_a_sum(sets):
    method = fit(cells(), gene_sets=sets, space="gene_sets", neighbours=2, trust=1.0)
    effects = dict(zip(method.genes_, method.effects_, strict=True))
    alone = method.shift(Perturbation(("E",))) - method.intercept_
    both = method.intercept_ + effects["P"] + alone
    np.testing.assert_allclose(method.shift(Perturbation(("P",))), method.intercept_ + effects["P"])
    np.testing.assert_allclose(method.shift(Perturbation(("E", "P"))), both)


def test_what_is_chosen_predicts_each_single_best_from_the_others(sets):
    """By hand for two of the choices: neighbours of the family against half of the way."""
    method = fit(cells(0.5), gene_sets=sets, space="gene_sets", neighbours=3)
    effects = dict(zip(method.genes_, method.effects_, strict=True))

    def wrong(trust: float) -> float:
        errors = []
        for family in SEEN.values():
            for gene in family:
                rest = np.mean([effects[other] for other in effects if other != gene], axis=0)
                near = np.mean([effects[other] for other in family if other != gene], axis=0)
                real = cells(0.5)[[gene == p for p in cells(0.5).obs["perturbation"]]].X.toarray()[0] - 5
                errors.append(method.intercept_ + rest + trust * (near - rest) - real)
        return float(np.mean(np.square(errors)))

    assert method.trust_ == min((0.0, 0.25, 0.5, 0.75, 1.0), key=wrong)


def test_genes_of_which_nothing_is_known_are_refused(sets):
    method = fit(cells(), gene_sets=sets)
    assert method.unsupported(Perturbation(("E",))) is None
    assert method.unsupported(Perturbation(("A", "Z"))) is None
    assert "none of its genes was perturbed in training or is like" in method.unsupported(
        Perturbation(("Y", "Z"))
    )


def test_without_gene_sets_an_unmeasured_gene_is_like_nobody():
    assert fit(cells()).unsupported(Perturbation(("E",))) is not None


def test_where_neighbours_do_not_help_nothing_is_borrowed(tmp_path):
    """Families that are drawn across: every neighbour is of the other kind."""
    path = tmp_path / "crossed.gmt"
    path.write_text("\n".join(f"{a}{b}\t\t{a}\t{b}" for a, b in zip("ABCDE", "PQRST", strict=True)))
    method = fit(cells(), gene_sets=str(path), space="gene_sets")
    assert method.trust_ == 0
    assert method.unsupported(Perturbation(("E",))) is not None


def test_gene_sets_of_the_card_are_not_taken_unasked(sets):
    """One machine has them and another does not, and both predict the same."""
    train = cells()
    train.uns["gene_sets"] = sets
    with_card, without = fit(train), fit(cells())
    assert (
        with_card.unsupported(Perturbation(("E",))) == without.unsupported(Perturbation(("E",))) is not None
    )
    np.testing.assert_array_equal(with_card.shift(Perturbation(("A",))), without.shift(Perturbation(("A",))))


def test_gene_sets_that_are_asked_for_must_be_here(tmp_path):
    with pytest.raises(BenchmarkError, match="no file"):
        fit(cells(), gene_sets=str(tmp_path / "absent.gmt"))


def test_with_too_few_singles_nothing_is_borrowed(sets):
    method = fit(cells()[:4].copy(), gene_sets=sets)
    assert method.trust_ == 0


def test_it_is_saved_and_loaded(sets, tmp_path):
    method = fit(cells(), gene_sets=sets)
    method.save(tmp_path / "method")
    loaded = Nearest.load(tmp_path / "method")
    for genes in (("E",), ("A", "T"), ("A", "Z")):
        np.testing.assert_array_equal(loaded.shift(Perturbation(genes)), method.shift(Perturbation(genes)))
        assert loaded.unsupported(Perturbation(genes)) == method.unsupported(Perturbation(genes))
