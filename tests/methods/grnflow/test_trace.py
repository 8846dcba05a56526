"""Following a cascade shows what a prediction does, and the network that its latent stands for."""

from __future__ import annotations

import numpy as np
import torch

from benchmark.perturbation import Perturbation
from methods._flow.sampling import Solver
from methods._grn.features import Projection, Standardiser
from methods._grnflow.latents import network_of
from methods.grnflow_any_order import GRNFlowAnyOrder
from methods.grnflow_scalar import GRNFlowScalar
from methods.grnflow_sparse_pca import GRNFlowSparsePCA
from tests.methods.grnflow.grnflow_case import cells, fitted, predicted


def test_a_path_begins_at_the_start_and_ends_where_integration_ends():
    start = torch.tensor([1.0, -2.0])
    for name in ("euler", "midpoint", "rk4"):
        solver = Solver(name, 5)
        path = solver.path(lambda t, y: -y * (1 + t), start)
        assert path.shape == (6, 2)
        torch.testing.assert_close(path[0], start)
        torch.testing.assert_close(path[-1], solver.integrate(lambda t, y: -y * (1 + t), start))


def test_a_network_in_the_span_of_the_basis_is_found_again_from_its_latent():
    generator = torch.Generator().manual_seed(0)
    basis = torch.randn(9, 3, generator=generator)
    change = torch.randn(9, 3, generator=generator) @ basis.T
    units = Standardiser(torch.full((9, 3), 0.5), torch.full((9, 3), 2.0))
    latent = units.apply((change @ basis).unsqueeze(0))[0]
    torch.testing.assert_close(network_of(latent, units, Projection(basis)), change, atol=1e-4, rtol=1e-4)
    # Whatever the network was, the one that is shown has the latent that was generated.
    other = network_of(torch.randn(9, 3, generator=generator), units, Projection(basis))
    again = units.apply((other @ basis).unsqueeze(0))[0]
    torch.testing.assert_close(network_of(again, units, Projection(basis)), other, atol=1e-4, rtol=1e-4)


def test_the_trace_ends_in_the_cells_that_are_predicted():
    """Ten steps a stage on both sides; the prediction is moved to the mean that is known, and clamped."""
    method = fitted(GRNFlowSparsePCA, latent_ode_steps=10, expression_ode_steps=10)
    control, perturbation = cells(["control"], 10, seed=3), Perturbation.parse("A+B")
    trace = method.trace(control, perturbation, 2)
    assert trace.latent.shape == (11, 10, 20, method.shape_.latent)
    assert trace.expression.shape == (11, 10, 20)
    assert trace.network.shape == (20, 20)
    ends = torch.from_numpy(trace.expression[-1])
    mean = method.out_of_units(method.mean_in_units(method.flow_, perturbation, method.sampling()))
    moved = method.clamp(ends - ends.mean(0) + mean).numpy()
    np.testing.assert_allclose(moved, predicted(method, "A+B", control=control)[0], atol=1e-5)


def test_a_trace_has_as_many_steps_as_are_asked_for_and_changes_no_prediction():
    method = fitted(GRNFlowSparsePCA)
    before = predicted(method, "A+B")[0]
    assert len(method.trace(cells(["control"], 4), Perturbation.parse("A"), 7).latent) == 8
    np.testing.assert_array_equal(predicted(method, "A+B")[0], before)


def test_without_signs_there_is_no_network_and_in_another_order_no_first_stage():
    control, perturbation = cells(["control"], 4), Perturbation.parse("A")
    assert fitted(GRNFlowScalar).trace(control, perturbation, 2).network is None
    assert fitted(GRNFlowAnyOrder, order="joint").trace(control, perturbation, 2) is None


def test_a_method_that_was_loaded_cannot_say_what_its_latents_stand_for(tmp_path):
    method = fitted(GRNFlowSparsePCA)
    method.save(tmp_path / "saved")
    loaded = GRNFlowSparsePCA.load(tmp_path / "saved")
    assert loaded.trace(cells(["control"], 4), Perturbation.parse("A"), 2) is None
