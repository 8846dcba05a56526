"""How many control cells are needed: derived, and held against what happens with as many."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark import api
from benchmark.data import Dataset
from benchmark.data.canonical import canonicalise
from benchmark.data.cards import DatasetCard
from benchmark.data.digests import content_digest
from benchmark.data.simulator import SimulatorConfig, simulate
from benchmark.evaluation.controls import SHARE, about_controls, count_controls
from benchmark.perturbation import CONTROL
from tests.tiny import COLUMNS


@pytest.fixture
def dataset(screen):
    return api.load_dataset(str(screen), **COLUMNS)


def test_control_cells_are_counted_on_each_side(dataset):
    split = api.make_split(dataset, "doubles", 0)
    counts = count_controls(dataset, split)
    assert (counts["given"], counts["scored"]) == (20, 20)
    assert count_controls(dataset, split.sharing_controls())["shared"] == 40


def test_a_prediction_that_knows_nothing_correlates_by_as_much_as_is_said():
    """Shared noise N beside changes of variance S: N / (S + N)."""
    rng = np.random.default_rng(0)
    genes, signal = 200_000, 0.04
    noise = np.sqrt(SHARE * signal) * rng.standard_normal(genes)
    real, guess = (np.sqrt(signal) * rng.standard_normal(genes) - noise for _ in range(2))
    assert np.corrcoef(real, guess)[0, 1] == pytest.approx(SHARE / (1 + SHARE), abs=0.01)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        (
            {"given": 50, "scored": 51, "needed": 9},
            "50 control cells for methods, 51 others",
        ),
        (
            {"shared": 3, "needed": 9},
            "too few, correlations count their noise as agreement by more",
        ),
        (
            {"given": 5, "scored": 6, "needed": 9},
            "too few, correlations of all rows are lower for their noise",
        ),
    ],
)
def test_what_is_said_of_them(counts, words):
    assert words in about_controls(counts)


def test_with_as_many_as_are_needed_simulated_cells_keep_shared_noise_small():
    """A prediction that knows nothing: the real changes, of other genes; a tenth of the cells is too few."""
    config = SimulatorConfig(
        seed=1, n_genes=200, n_singles=6, n_doubles=6, cells_per_perturbation=200, n_controls=4000
    )
    card = DatasetCard(name="many", expression="counts", modality="simulated")
    adata = canonicalise(simulate(config)[0], card)
    dataset = Dataset(card.name, adata, content_digest(adata), card)
    split = api.make_split(dataset, "doubles", 0)
    needed = count_controls(dataset, split)["needed"]
    control = adata.X[(adata.obs["perturbation"] == CONTROL).to_numpy()].toarray()
    means = [adata.X[(adata.obs["perturbation"] == label).to_numpy()].mean(axis=0).A1 for label in split.test]
    rng = np.random.default_rng(0)

    def agreement(n: int) -> float:
        found = []
        for mean in means * 40:
            drawn = control[rng.permutation(len(control))[:n]].mean(axis=0)
            guess = control.mean(axis=0) + rng.permutation(mean - control.mean(axis=0))
            found.append(np.corrcoef(mean - drawn, guess - drawn)[0, 1])
        return float(np.mean(found))

    assert 10 < needed < 2000
    assert agreement(needed) < 1.5 * SHARE
    assert agreement(needed // 10) > 3 * SHARE
