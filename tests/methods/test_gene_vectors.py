"""Vectors of perturbed genes: where they come from, what they say, and which are refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.sparse import csr_matrix

from benchmark.errors import BenchmarkError
from benchmark.perturbation import Perturbation
from benchmark.testing.case import GENE_SETS, tiny_panel
from methods._gene_vectors import (
    DescribedConfig,
    DescribedMethod,
    coexpression_vectors,
    describe,
    read_vectors,
    require_all,
    set_vectors,
)

PANEL = tiny_panel(0, 40)
SEEN = sorted({gene for label in PANEL.split.train for gene in label.split("+")})


class Described(DescribedMethod):
    """As far as the harness's side goes."""

    name = "described"


def described(**settings: object) -> Described:
    """A method that has described its genes, as `fit` does before its worker starts."""
    method = Described(DescribedConfig(**settings))
    method.genes_, method.vectors_ = describe(PANEL.views[0], method.config)
    return method


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, r"cannot be read \(No such file or directory\); check the file"),
        ("", "holds no line for a gene; give every gene equally many numbers"),
        ("A,1,2\nB,3\n", "holds 1 to 2 numbers for a gene"),
        ("A,1\nA,2\n", "line 2: A has a vector already; keep one of them"),
        ("A,one\n", "line 1: .*write 'SYMBOL,0.1,-0.2,...'"),
        ("A,inf\n", "line 1 is not a symbol with finite numbers"),
        ("A,1\n", "has no vector of B, which training perturbations name"),
    ],
)
def test_a_file_of_vectors_that_cannot_be_used_says_where(tmp_path, content, sentence):
    path = tmp_path / "vectors.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(BenchmarkError, match=sentence):
        require_all({"A", "B"}, read_vectors(path), path)


def test_a_gene_has_a_column_of_its_own_unless_vectors_are_wanted():
    method = described()
    assert method.genes_ == SEEN
    vectors = method.about(*PANEL.views)["vectors"]
    np.testing.assert_array_equal([vectors[gene] for gene in SEEN], np.eye(len(SEEN)))
    assert method.unsupported(Perturbation((SEEN[0],))) is None
    assert method.unsupported(Perturbation((SEEN[0], "G999"))) == (
        "no training perturbation names G999, so described has learned nothing of it; describe genes with "
        "--set "
        "gene_vectors=gene_sets, coexpression or FILE"
    )


def test_a_worker_is_told_the_vectors_of_what_is_asked_alone(tmp_path):
    path = tmp_path / "vectors.csv"
    path.write_text("".join(f"{gene},{index},0.5\n" for index, gene in enumerate([*SEEN, "ELSEWHERE"])))
    method = described(gene_vectors=str(path))
    asked = method.asked([Perturbation(("ELSEWHERE",)), Perturbation((SEEN[0], "ELSEWHERE"))])
    assert asked == {"vectors": {SEEN[0]: [0.0, 0.5], "ELSEWHERE": [float(len(SEEN)), 0.5]}}


def test_genes_that_are_in_the_same_sets_have_the_same_vector_and_others_do_not():
    """Three sets without a gene in common are three orthogonal directions."""
    sets = {"t1": {"A", "B"}, "t2": {"C"}, "t3": {"D", "E", "F"}, "t4": {"C"}}
    vectors = set_vectors(sets, 3)
    assert sorted(vectors) == list("ABCDEF")
    products = np.array([[vectors[a] @ vectors[b] for b in "ABCDEF"] for a in "ABCDEF"])
    expected = np.kron(np.diag([1, 0, 0]), np.ones((2, 2)))
    expected[2, 2], expected[3:, 3:] = 1, 1
    expected[:2, 2:] = expected[2:, :2] = expected[2, 3:] = expected[3:, 2] = 0
    np.testing.assert_allclose(products, expected, atol=1e-8)


def test_genes_that_rise_together_are_near_and_opposite_ones_far():
    rng = np.random.default_rng(0)
    one, other = rng.random((2, 500))
    values = np.stack([one, 3 * one, 1 - one, other, np.zeros(500)], axis=1)
    labels = pd.DataFrame({"perturbation": ["control"] * 500}, index=[str(row) for row in range(500)])
    cells = AnnData(csr_matrix(values), obs=labels, var=pd.DataFrame(index=list("ABCDE")))
    vectors = coexpression_vectors(cells, 2)
    assert sorted(vectors) == list("ABCD")
    assert vectors["A"] @ vectors["B"] == pytest.approx(1)
    assert vectors["A"] @ vectors["C"] == pytest.approx(-1)
    assert abs(vectors["A"] @ vectors["D"]) < 0.2


def test_vectors_are_the_same_whenever_they_are_made():
    for chosen in ("coexpression", "gene_sets"):
        settings = DescribedConfig(gene_vectors=chosen, gene_sets=str(GENE_SETS), vector_size=4)
        (genes, first), (_, second) = (describe(PANEL.views[0], settings) for _ in range(2))
        assert set(SEEN) <= set(genes)
        assert first.dtype == np.float32
        np.testing.assert_array_equal(first, second)
        np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, rtol=1e-5)


def test_sets_that_nobody_names_are_asked_for():
    train, _ = PANEL.views
    del train.uns["gene_sets"]
    with pytest.raises(BenchmarkError, match=r"needs gene sets, and the card of the data names none"):
        describe(train, DescribedConfig(gene_vectors="gene_sets"))
