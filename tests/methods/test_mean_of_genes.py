"""The matching mean against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix

from benchmark.perturbation import Perturbation
from methods.mean_of_genes import MeanOfGenes


def cells(rows: dict[str, list[list[float]]]) -> AnnData:
    """Cells of given expression per label."""
    labels = [label for label, members in rows.items() for _ in members]
    values = np.array([cell for members in rows.values() for cell in members], dtype=np.float32)
    names = [f"cell-{row}" for row in range(len(labels))]
    return AnnData(csr_matrix(values), obs=pd.DataFrame({"perturbation": labels}, index=names))


TRAIN = cells({"control": [[2, 2]] * 2, "A": [[4, 2]] * 3, "A+C": [[6, 6]], "B+C": [[2, 4]]})
VALIDATION = cells({"B": [[2, 1], [2, 3]]})
METHOD = MeanOfGenes().fit(TRAIN, VALIDATION)


def mean(*genes: str) -> np.ndarray:
    """Predicted mean expression."""
    (answer,) = METHOD.predict_mean([Perturbation(genes)])
    return answer


def test_a_double_is_the_mean_of_its_singles():
    """A has the mean (4, 2), B (2, 2)."""
    np.testing.assert_allclose(mean("A", "B"), [3, 2])


def test_a_single_that_was_seen_is_its_own_mean():
    np.testing.assert_allclose(mean("A"), [4, 2])


def test_for_a_gene_without_a_single_stands_the_mean_over_perturbed_cells():
    """Doubles with C do not count as C; all seven perturbed cells have the mean (24, 20) / 7."""
    np.testing.assert_allclose(mean("A", "C"), np.add([4, 2], np.divide([24, 20], 7)) / 2)


def test_a_perturbation_without_any_single_is_refused():
    assert METHOD.unsupported(Perturbation(("A", "C"))) is None
    for genes in (("C",), ("C", "Z"), ("Z",)):
        assert METHOD.unsupported(Perturbation(genes)) == "none of its genes was perturbed alone in training"


def test_without_validation_cells_the_singles_of_training_are_all():
    alone = MeanOfGenes().fit(TRAIN, VALIDATION[:0])
    assert alone.genes_ == ["A"]
    np.testing.assert_allclose(alone.all_cells_, np.divide([20, 16], 5) - 2)
