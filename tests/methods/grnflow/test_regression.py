"""A network fitted to cells, by hand on three genes; edges read from a file."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from scipy import sparse

from benchmark.errors import BenchmarkError
from methods._grnflow.direct import regression
from methods._grnflow.edges import known_regulators
from methods._grnflow.regression import FEWEST, KEPT, MOST, PENALTY, NetworkFit, Products, sought
from methods._grnflow.sources import Given
from methods.grnflow_sparse_pca import GRNFlowSparsePCA
from tests.methods.grnflow.grnflow_case import fitted, new

GENES = ["A", "B", "C"]
# Of A and B all four combinations, so that they are uncorrelated; C = 1 + 2 A - B.
CELLS = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 3], [1, 1, 2]], dtype=np.float32)
CROSSED = [np.array([], dtype=int), np.array([], dtype=int), np.array([0, 1])]


def dense_fit(cells: np.ndarray, regulators: list[np.ndarray], own=None, kept=None) -> np.ndarray:
    return NetworkFit(sparse.csr_matrix(cells), regulators, own or {}, kept).weights().toarray()


def edges(folder, text: str):
    path = folder / "edges.csv"
    path.write_text(text)
    return path


def test_weights_of_two_uncorrelated_regulators_by_hand():
    """Correlations with C are 2 / sqrt 5 and -1 / sqrt 5, over 1 + penalty; C varies sqrt 5 times more."""
    found = dense_fit(CELLS, CROSSED)
    np.testing.assert_allclose(found[2], [2 / (1 + PENALTY), -1 / (1 + PENALTY), 0], atol=1e-6)
    assert not found[:2].any()


def test_latents_of_three_genes_by_hand(tmp_path):
    """With 1 more of A and 0.5 more of B, C is regulated by (2 - 0.5) / 1.1 more; A and B by nothing."""
    perturbed = np.array([[1.5, 1, 9], [1.5, 1, 9]], dtype=np.float32)
    cells = sparse.csr_matrix(np.concatenate([CELLS, perturbed]))
    config = new(GRNFlowSparsePCA, prior_file=str(edges(tmp_path, "source,target\nA,C\nB,C\n"))).config
    # C itself is said to be perturbed there, so that these cells say nothing of its regulation.
    given = Given(config, cells, cells[:4], GENES, 0, torch.device("cpu"), {"C": np.array([4, 5])})
    found = regression(given)
    assert found.shape == (1, 3, 1)
    np.testing.assert_allclose(found[0, :, 0], [0, 0, (2 * 1 - 0.5) / (1 + PENALTY)], atol=1e-6)


def test_cells_in_which_a_gene_is_perturbed_say_nothing_of_its_regulation():
    spoiled = np.concatenate([CELLS, [[5, 0, 40], [3, 2, 0]]]).astype(np.float32)
    own = {2: np.array([4, 5])}
    np.testing.assert_allclose(dense_fit(spoiled, CROSSED, own), dense_fit(CELLS, CROSSED), atol=1e-6)
    assert np.abs(dense_fit(spoiled, CROSSED) - dense_fit(CELLS, CROSSED)).max() > 0.1


def test_the_regulators_of_largest_weight_are_kept_and_fitted_again():
    """Of A (2) and B (-1) the first is kept; correlated ones are fitted again without the other."""
    np.testing.assert_allclose(dense_fit(CELLS, CROSSED, kept=1)[2], [2 / (1 + PENALTY), 0, 0], atol=1e-6)
    rng = np.random.default_rng(0)
    a = rng.normal(3, 1, 400)
    b = a + rng.normal(0, 1, 400)
    cells = np.stack([a, b, 2 * a + 0.2 * b], axis=1).astype(np.float32)
    alone = np.corrcoef(a, cells[:, 2])[0, 1] / (1 + PENALTY) * cells[:, 2].std() / a.std()
    np.testing.assert_allclose(dense_fit(cells, CROSSED, kept=1)[2], [alone, 0, 0], rtol=1e-4)


def test_weights_are_those_of_ridge_regression_in_standard_units():
    """Against the normal equations on centred and scaled columns, gene by gene."""
    rng = np.random.default_rng(1)
    cells = rng.gamma(2, 1, (300, 6)).astype(np.float32)
    regulators = [np.setdiff1d(np.arange(4), gene) for gene in range(6)]
    found = dense_fit(cells, regulators)
    units = (cells - cells.mean(0)) / cells.std(0)
    for gene, chosen in enumerate(regulators):
        x = units[:, chosen].astype(np.float64)
        solved = np.linalg.solve(x.T @ x + 300 * PENALTY * np.eye(len(chosen)), x.T @ units[:, gene])
        expected = np.zeros(6)
        expected[chosen] = solved * cells[:, gene].std() / cells[:, chosen].std(0)
        np.testing.assert_allclose(found[gene], expected, atol=1e-5)


def test_constant_genes_regulate_nothing_and_are_not_regulated():
    cells = np.concatenate([CELLS, np.full((4, 1), 1.7, dtype=np.float32)], axis=1)
    found = dense_fit(cells, [*CROSSED[:2], np.array([0, 1, 3]), np.array([0, 1])])
    np.testing.assert_allclose(found[2], [2 / (1 + PENALTY), -1 / (1 + PENALTY), 0, 0], atol=1e-6)
    assert not found[3].any()


def test_of_no_cell_nothing_is_known():
    sums = Products(4, CELLS.sum(0), CELLS.T @ CELLS).without(sparse.csr_matrix(CELLS))
    assert not sums.in_units()[0].any()


def test_regulators_are_sought_among_perturbed_and_then_variable_genes():
    """All perturbed ones, up to a limit; the most variable others where those are few; never itself."""
    variance = np.arange(400.0)
    few = sought(variance, {3, 5})
    assert set(few[0]) == {3, 5, *range(400 - (FEWEST - 2), 400)}
    assert set(few[3]) == set(few[0]) - {3}
    assert set(sought(variance, range(100))[399]) == set(range(100))
    assert set(sought(variance, range(400))[0]) == set(range(400 - MOST, 400))
    assert [len(found) for found in sought(np.ones(3), [])] == [2, 2, 2]
    assert KEPT < FEWEST < MOST


def test_without_edges_a_network_is_found_in_cells_that_have_one():
    """C follows A and B, and D is alone: the weights of C say so."""
    rng = np.random.default_rng(2)
    a, b, d = rng.normal(4, 1, (3, 3000))
    cells = np.stack([a, b, 3 + 2 * a - b, d], axis=1).astype(np.float32)
    config = new(GRNFlowSparsePCA).config
    rows = {"A": np.flatnonzero(a > 5), "B": np.flatnonzero((a <= 5) & (b > 5))}
    control = sparse.csr_matrix(cells[(a <= 5) & (b <= 5)])
    given = Given(config, sparse.csr_matrix(cells), control, [*GENES, "D"], 0, torch.device("cpu"), rows)
    change = np.stack([cells[chosen].mean(0) for chosen in rows.values()]) - control.toarray().mean(0)
    expected = 2 * change[:, 0] - change[:, 1]
    np.testing.assert_allclose(regression(given)[:, 2, 0], expected, atol=0.2 * np.abs(expected).max())


def test_a_thousand_genes_are_fitted_without_a_table_of_all_pairs():
    """Such a table has 8 MB; regulators times genes and a block of cells have 0.5 and 2."""
    cells = sparse.random(200, 1000, 0.2, random_state=0, dtype=np.float32, format="csr")
    tracemalloc.start()
    try:
        weights = NetworkFit(cells, sought(np.ones(1000), range(60)), {}, KEPT).weights()
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()
    assert weights.shape == (1000, 1000)
    assert np.diff(weights.indptr).max() == KEPT


def test_known_edges_are_regulators_of_each_gene(tmp_path):
    """Once each, in order, without genes that are not measured and without a gene itself."""
    text = "source,target,weight\nC,A,1\nB,A,-1\nB,A,1\nA,A,1\nMYC,A,1\nA,MYC,1\n C ,B,1\n"
    found = known_regulators(edges(tmp_path, text), GENES)
    assert [each.tolist() for each in found] == [[1, 2], [2], []]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "source,target\nMYC,TERT\n",
            "has edges of genes such as 'MYC', and none between two of the panel's 20",
        ),
        ("source,target\nG1,G1\n", "and none between two of the panel's 20 genes"),
        ("regulator,gene\nG1,G2\n", "There is no column .*'source'"),
        (None, "There is no file .*edges.csv to read edges from"),
    ],
)
def test_a_file_of_no_use_is_refused_in_one_sentence_before_anything_is_trained(text, said, tmp_path):
    path = tmp_path / "edges.csv" if text is None else edges(tmp_path, text)
    with pytest.raises(BenchmarkError, match=said) as caught:
        fitted(GRNFlowSparsePCA, attention_source="regression", prior_file=str(path))
    assert "\n" not in str(caught.value)


def test_a_flow_learns_from_a_network_of_known_edges(tmp_path):
    path = edges(tmp_path, "source,target\nG1,G3\nG2,G3\nG4,G5\n")
    method = fitted(GRNFlowSparsePCA, attention_source="regression", prior_file=str(path))
    assert method.units_.mean[:, 0].nonzero().flatten().tolist() == [3, 5]
