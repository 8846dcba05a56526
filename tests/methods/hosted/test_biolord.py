"""biolord behind the harness: the means that the package gives by hand, and what it is told and refuses."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.errors import BenchmarkError
from benchmark.perturbation import Perturbation
from benchmark.testing.case import tiny_contexts
from methods.biolord import Biolord, BiolordConfig
from tests.hosting.hosted import needs
from tests.methods.hosted.driving import PANEL, by_hand, require_parity, through_harness

NETWORK = {
    "n_latent_attribute_ordered": 6,
    "decoder_width": 24,
    "decoder_depth": 2,
    "attribute_nn_width": 12,
    "attribute_nn_depth": 2,
    "attribute_dropout_rate": 0.1,
    "unknown_attribute_penalty": 5.0,
    "unknown_attribute_noise_param": 0.2,
    "use_batch_norm": True,
}
PLAN = {
    "latent_lr": 5e-3,
    "latent_wd": 1e-4,
    "decoder_lr": 2e-3,
    "decoder_wd": 1e-5,
    "attribute_nn_lr": 1e-2,
    "attribute_nn_wd": 1e-7,
    "step_size_lr": 3,
}
SIZES = {"n_latent": 5, "batch_size": 48, "check_every": 2}


def test_cells_are_moved_to_the_mean_of_the_controls_plus_the_change():
    method = Biolord(BiolordConfig())
    method.control_mean_ = np.array([1.0, 0.5])
    moved = method.finish(np.array([[0.0, 1.0], [3.0, 0.0]], np.float32), np.array([0.5, -2.0]))
    assert moved.dtype == np.float32
    np.testing.assert_allclose(moved.mean(axis=0), [1.5, 0.0], atol=1e-6)


@pytest.mark.slow
def test_the_harness_gives_the_means_of_the_package():
    """Same cells, seed and settings: training, the choice of the epoch, doubles that were held out."""
    needs("biolord")
    answers = through_harness(Biolord, **NETWORK, **PLAN, **SIZES, max_epochs=12)
    require_parity(answers, by_hand(Biolord, network=NETWORK, plan=PLAN, epochs=12, **SIZES))


@pytest.mark.slow
def test_with_vectors_a_gene_that_was_never_perturbed_is_predicted():
    needs("biolord")
    config = BiolordConfig.build("smoke", {"gene_vectors": "coexpression", "vector_size": "6"})
    hosted = Biolord(config, seed=0, device="cpu").fit(*PANEL.views)
    seen = {gene for label in PANEL.split.train for gene in label.split("+")}
    unseen = [gene for gene in PANEL.dataset.adata.var_names if gene not in seen][:2]
    one, other = hosted.predict(PANEL.control, [Perturbation((gene,)) for gene in unseen])
    assert not np.allclose(one.mean(axis=0), other.mean(axis=0), atol=1e-5)
    assert (
        hosted.unsupported(Perturbation(("NOWHERE",))) == "gene_vectors=coexpression has no vector of NOWHERE"
    )


def test_cells_of_several_contexts_are_refused_before_a_worker_starts():
    with pytest.raises(
        BenchmarkError, match="biolord compares perturbed cells with control cells of any context"
    ):
        Biolord(BiolordConfig()).fit(*tiny_contexts().views)
