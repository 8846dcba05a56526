"""The worked example of `docs/add-a-method.md` keeps every rule, and predicts what its text says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.sparse import csr_matrix

from benchmark.perturbation import Perturbation
from benchmark.registry import load_method
from benchmark.testing import CHECKS, Case
from tests.project.documentation_case import ROOT

EXAMPLE = f"{ROOT}/docs/examples/shared_gene.py:SharedGene"


@pytest.fixture(scope="module")
def case() -> Case:
    return Case(load_method(EXAMPLE))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_example_conforms(case, check):
    check(case)


def cells(means: dict[str, list[float]]) -> AnnData:
    """One cell of each label."""
    names = [f"cell-{row}" for row in range(len(means))]
    obs = pd.DataFrame({"perturbation": list(means)}, index=names)
    return AnnData(csr_matrix(np.array(list(means.values()), dtype=np.float32)), obs=obs)


def test_the_example_blends_relatives_with_all():
    """Changes: A (2, 0), A+B (0, 2), C (-1, 1); all: (1/3, 1); those that share a gene with A+D: (1, 1)."""
    control = cells({"control": [1, 1]})
    train = cells({"control": [1, 1], "A": [3, 1], "A+B": [1, 3], "C": [0, 2]})
    example = load_method(EXAMPLE)
    method = example(example.Config(blend=0.75)).fit(train, train[:0])
    (answer,) = method.predict(control, [Perturbation.parse("A+D")])
    np.testing.assert_allclose(answer, [[1 + 0.75 + 0.25 / 3, 2]], rtol=1e-6)


def test_the_example_gives_strangers_the_change_of_all():
    control = cells({"control": [1, 1]})
    train = cells({"control": [1, 1], "A": [3, 1], "C": [0, 2]})
    (answer,) = load_method(EXAMPLE)().fit(train, train[:0]).predict(control, [Perturbation.parse("X+Y")])
    np.testing.assert_allclose(answer, [[1.5, 1.5]], rtol=1e-6)
