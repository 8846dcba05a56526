"""GEARS through the harness gives the means that the package gives when it is driven by hand."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, concat

from benchmark.machine.processes import threads
from benchmark.perturbation import Perturbation
from methods.gears import Gears
from methods.gears.graph import annotations, similarity_graph
from tests.hosting.hosted import needs
from tests.methods.hosted.gears_case import (
    PANEL,
    SEED,
    UNMEASURED,
    cells,
    method,
    terms_of_genes,
    write_gene_sets,
)

pytestmark = pytest.mark.slow

NETWORK = {
    "hidden_size": 16,
    "num_go_gnn_layers": 2,
    "num_gene_gnn_layers": 1,
    "coexpress_threshold": 0.3,
    "num_similar_genes_co_express_graph": 6,
    "direction_lambda": 0.2,
}
TRAINING = {"epochs": 3, "lr": 2e-3, "weight_decay": 1e-3}
NEIGHBOURS, BATCH = 5, 16


def condition(label: str) -> str:
    """A label in the words of GEARS."""
    genes = Perturbation.parse(label).genes
    return "+".join([*genes, "ctrl"][:2] if genes else ["ctrl"])


def asked() -> list[Perturbation]:
    """Doubles of the test part, and a single of a gene that is not measured."""
    return [*PANEL.questions, Perturbation((UNMEASURED,))]


@cache
def by_hand() -> dict[str, np.ndarray]:
    """What the package by itself writes, once it has learned from the cells."""
    train, validation, _ = cells()
    terms = terms_of_genes()
    together = concat([train, validation])
    labels = [condition(label) for label in together.obs["perturbation"]]
    obs = pd.DataFrame({"condition": labels, "cell_type": "K562"}, index=list(together.obs_names))
    var = pd.DataFrame({"gene_name": list(train.var_names)}, index=list(train.var_names))
    chosen = [condition(label) for label in sorted(PANEL.split.validation)]
    trained = [condition(label) for label in sorted(PANEL.split.train)]
    task = {
        "seed": SEED,
        "threads": threads(),
        "gene2go": {gene: sorted(terms[gene]) for gene in terms},
        "split": {"train": ["ctrl", *trained], "val": chosen, "test": chosen},
        "batch_size": BATCH,
        "neighbours": NEIGHBOURS,
        "network": NETWORK,
        "training": TRAINING,
        "ask": [list(perturbation.genes) for perturbation in asked()],
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        AnnData(together.X, obs=obs, var=var).write_h5ad(folder / "cells.h5ad")
        (folder / "task.json").write_text(json.dumps(task))
        command = [Gears.environment().python, "-I", Path(__file__).with_name("gears_by_hand.py"), folder]
        # A cache of its own: a worker that is started by another test compiles at the same time.
        apart = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "compiled")}
        done = subprocess.run(command, capture_output=True, text=True, env=apart)
        assert done.returncode == 0, done.stderr[-2000:]
        with np.load(folder / "answers.npz") as answers:
            return dict(answers)


def test_the_harness_gives_the_means_of_the_package(tmp_path):
    """Same cells, split, seed and settings; from the graphs to the training and the draw of controls."""
    needs("gears")
    train, validation, control = cells()
    hosted = method(
        write_gene_sets(tmp_path / "sets.gmt", terms_of_genes()),
        **NETWORK,
        **TRAINING,
        batch_size=BATCH,
        num_similar_genes_go_graph=NEIGHBOURS,
    ).fit(train, validation)
    answers = list(hosted.predict(control, asked()))

    official = by_hand()
    changes = np.stack([official[f"mean-{index}"] - official["start"] for index in range(len(answers))])
    assert np.abs(changes).max() > 0.1
    assert np.ptp(changes, axis=0).max() > 1e-2  # perturbations differ, so that parity says something of each
    start = control.X.toarray().mean(axis=0, dtype=np.float64)
    for cells_of_one, change in zip(answers, changes, strict=True):
        expected = np.maximum(start + change, 0)
        mean = cells_of_one.mean(axis=0, dtype=np.float64)
        np.testing.assert_allclose(mean, expected, atol=2e-5)


def test_the_graph_of_shared_terms_is_that_of_the_package():
    """Edges and weights, with many pairs of genes that are equally alike."""
    needs("gears")
    terms, official = terms_of_genes(), by_hand()
    sets = {term: {gene for gene in terms if term in terms[gene]} for term in set().union(*terms.values())}
    edges, weights = similarity_graph(annotations(sets, sorted(terms)), NEIGHBOURS)
    expected = dict(zip(zip(*official["edges"].tolist(), strict=True), official["weights"], strict=True))
    assert dict(zip(zip(*edges.tolist(), strict=True), weights.astype(np.float32), strict=True)) == expected
