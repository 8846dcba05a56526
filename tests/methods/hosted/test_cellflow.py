"""CellFlow behind the harness: the means that the package gives by hand, and what it is told and refuses."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from benchmark.errors import BenchmarkError
from benchmark.perturbation import Perturbation
from methods.cellflow import CellFlow, CellFlowConfig
from tests.hosting.hosted import needs
from tests.methods.hosted.driving import PANEL, by_hand, require_parity, through_harness

SETTINGS = {
    "n_pcs": 10,
    "width": 24,
    "time_freqs": 16,
    "constant_noise": 0.2,
    "epsilon": 0.2,
    "iterations": 120,
    "batch_size": 40,
    "lr": 5e-3,
    "ema": 0.3,
    "check_every": 40,
}


def test_a_step_that_is_never_looked_at_is_refused_at_once():
    with pytest.raises(ValidationError, match="check_every 9 to be at most iterations 3"):
        CellFlowConfig(iterations=3, check_every=9)


def test_cells_without_a_perturbation_are_refused_before_a_worker_starts():
    train, validation = PANEL.views
    train = train[train.obs["perturbation"] == "control"].copy()
    with pytest.raises(BenchmarkError, match="hold no perturbed cells; nothing can be learned from them"):
        CellFlow(device="cpu").fit(train, validation)


@pytest.mark.slow
def test_the_harness_gives_the_means_of_the_package():
    """Same cells, seed and settings: training, the choice of the step, doubles that were held out."""
    needs("cellflow")
    require_parity(through_harness(CellFlow, **SETTINGS), by_hand(CellFlow, **SETTINGS))


@pytest.mark.slow
def test_both_orders_of_two_genes_and_control_cells():
    needs("cellflow")
    hosted = CellFlow(CellFlowConfig.build("smoke"), seed=0, device="cpu").fit(*PANEL.views)
    double = PANEL.questions[0]
    asked = [double, Perturbation(double.genes[::-1]), Perturbation(())]
    one, other, none = hosted.predict(PANEL.control, asked)
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(none, PANEL.control.X.toarray())
