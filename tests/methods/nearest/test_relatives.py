"""How alike genes are, against NumPy and by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix

from benchmark.perturbation import Perturbation
from methods._pseudobulk import Changes
from methods._relatives import coexpression, neighbours, responses, shared_terms

GENES = ["A", "B", "C", "D"]


def test_coexpression_is_the_correlation_over_cells():
    """D is not expressed, Z is not measured: they are like nobody."""
    values = np.random.default_rng(0).poisson(1.0, (50, 4)).astype(np.float32)
    values[:, 3] = 0
    control = AnnData(csr_matrix(values), var=pd.DataFrame(index=GENES))
    found = coexpression(control, ["C", "Z", "A", "D"], ["A", "B", "Z"])
    real = np.corrcoef(values[:, :3].T)
    expected = np.zeros((4, 3))
    expected[0, :2], expected[2, :2] = real[2, :2], real[0, :2]
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_responses_leave_out_the_perturbations_of_the_asked_gene():
    rng = np.random.default_rng(0)
    perturbed = [("A",), ("B",), ("A", "B"), ("P",), ("Q",), ("B", "P")]
    perturbations = tuple(sorted(Perturbation(genes) for genes in perturbed))
    changes = Changes(perturbations, rng.normal(size=(6, 4)), np.zeros(4))
    found = responses(changes, GENES, ["C", "A", "Z"], ["A", "B", "P"])
    others = [row for row, p in enumerate(perturbations) if "A" not in p.genes]
    expected = np.zeros((3, 3))
    expected[0, :2] = np.corrcoef(changes.values.T)[2, :2]
    expected[1, :2] = np.corrcoef(changes.values[others].T)[0, :2]
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_shared_terms_are_those_of_either_gene():
    """A and B share one of three sets, A and C both of theirs, D is in no set."""
    sets = {"one": {"A", "B", "C"}, "two": {"A", "C"}, "three": {"B", "X"}}
    found = shared_terms(sets, ["A", "D", "B"], ["A", "B", "C"])
    np.testing.assert_allclose(found, [[1, 1 / 3, 1], [0, 0, 0], [1 / 3, 1, 1 / 3]])


def test_without_sets_nobody_is_alike():
    np.testing.assert_array_equal(shared_terms({}, ["A"], ["B", "C"]), [[0, 0]])


def test_the_nearest_are_weighted_by_similarity_and_opposites_do_not_count():
    similarity = np.array([[0.1, 0.6, 0.3], [-0.5, 0.0, 0.2], [-0.1, 0.0, -0.3], [0.4, 0.4, 0.4]])
    columns, weights = neighbours(similarity, 2)
    np.testing.assert_array_equal(columns[[0, 1, 3]], [[1, 2], [2, 1], [0, 1]])
    np.testing.assert_allclose(weights, [[2 / 3, 1 / 3], [1, 0], [0, 0], [0.5, 0.5]])


def test_there_may_be_fewer_genes_than_neighbours():
    columns, weights = neighbours(np.array([[0.5, 0.5]]), 20)
    np.testing.assert_array_equal(columns, [[0, 1]])
    np.testing.assert_allclose(weights, [[0.5, 0.5]])
