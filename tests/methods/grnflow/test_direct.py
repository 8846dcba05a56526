"""Sources without maps: noise, and what holds for all of them in all variants."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from benchmark.errors import BenchmarkError
from benchmark.perturbation import Perturbation
from benchmark.registry import list_methods, load_method
from methods._grnflow.direct import DIRECT
from methods._grnflow.pairs import paired_cells
from methods.grnflow_any_order import GRNFlowAnyOrder
from methods.grnflow_dense import GRNFlowDense
from methods.grnflow_sparse_pca import GRNFlowSparsePCA
from methods.train_mean import TrainMean
from tests.methods.grnflow.grnflow_case import fitted, new, predicted, recorded, training_cells

VARIANTS = [listing.name for listing in list_methods() if listing.name.startswith("grnflow_")]
NEW = ["regression", "noise", "wrong"]
WIDTHS = {"grnflow_dense": 16, "grnflow_sparse_topk": 16, "grnflow_scalar": 1}
"""Of noise; 4 in all others."""


def raw(name: str, seed: int = 0, method=GRNFlowSparsePCA, train=None, **settings: object) -> torch.Tensor:
    """Latents as a source gives them."""
    given = new(method, seed, attention_source=name, **settings)._given(
        training_cells() if train is None else train
    )
    return DIRECT[name].latents(given)


@pytest.mark.parametrize("source", NEW)
@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_learns_from_every_source(name, source):
    """The latent is as wide as the source says, and so are the parameters that are counted."""
    with recorded() as seen:
        method = fitted(load_method(name), attention_source=source)
    assert ("pretrain gene transformer" in seen.totals) == (source == "wrong")
    assert method.shape_.latent == (1 if source == "regression" else WIDTHS.get(name, 4))
    count = method.parameter_count(method.config, n_genes=20, n_perturbed=4)
    assert sum(part.numel() for part in method.flow_.parameters()) == count + 2 * method.config.width
    for values in predicted(method, "A+G2", "NEVER"):
        assert np.isfinite(values).all()


@pytest.mark.parametrize("order", ["expression_first", "joint"])
def test_latents_of_a_regression_go_in_any_order(order):
    method = fitted(GRNFlowAnyOrder, attention_source="regression", order=order)
    assert np.isfinite(predicted(method, "A+B")[0]).all()


def test_latents_are_standardised_one_for_each_perturbation():
    method = new(GRNFlowSparsePCA, attention_source="noise")
    given = method._given(training_cells())
    latent, units, projection = method._latents(
        given, paired_cells(training_cells(), given.cells, method.config, method.seed)
    )
    assert latent.shape == (6, 1, 20, 4)
    assert latent.dtype == torch.float16
    assert projection is None
    found = raw("noise")
    torch.testing.assert_close(units.mean, found.mean(0), atol=1e-6, rtol=1e-5)
    expected = (found - found.mean(0)) / found.std(0, unbiased=False)
    torch.testing.assert_close(latent[:, 0].float(), expected, atol=2e-3, rtol=2e-3)


def test_noise_is_standard_normal_and_follows_the_seed_alone():
    """Another draw for each perturbation and seed, whatever cells and other perturbations are there."""
    one, again, other = (raw("noise", seed, GRNFlowDense) for seed in (0, 0, 1))
    assert one.shape == (6, 20, 16)
    assert torch.equal(one, again)
    assert one.mean() == pytest.approx(0, abs=0.05)
    assert one.std() == pytest.approx(1, abs=0.05)
    for first, second in combinations([*one, *other], 2):
        assert abs(torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1]) < 0.25
    train = training_cells()
    fewer = train[train.obs["perturbation"] != "A"].copy()
    fewer.X = fewer.X * 2
    assert torch.equal(raw("noise", method=GRNFlowDense, train=fewer), one[1:])


@pytest.mark.parametrize("source", sorted(DIRECT))
def test_maps_of_a_source_without_any_are_refused_in_one_sentence(source):
    with pytest.raises(BenchmarkError) as caught:
        new(GRNFlowSparsePCA, attention_source=source).regulatory_maps(training_cells())
    assert str(caught.value) == (
        f"The attention source '{source}' gives one latent for each perturbation and has no maps of who "
        "regulates whom; choose one that has, such as 'pretrained' or 'coexpression'."
    )


def test_a_trace_of_such_a_flow_shows_no_network():
    method = fitted(GRNFlowSparsePCA, attention_source="regression")
    trace = method.trace(training_cells()[:3].copy(), Perturbation.parse("A"), steps=2)
    assert trace.latent.shape[1:] == (3, 20, 1)
    assert trace.network is None


def test_a_loaded_method_predicts_the_same(tmp_path):
    method = fitted(GRNFlowSparsePCA, attention_source="regression")
    method.save(tmp_path / "saved")
    loaded = GRNFlowSparsePCA.load(tmp_path / "saved")
    np.testing.assert_array_equal(predicted(method, "A+B")[0], predicted(loaded, "A+B")[0])


def test_the_oracle_alone_knows_the_truth():
    field = GRNFlowSparsePCA.Config.model_fields["attention_source"]
    knowing = [
        source
        for source in field.annotation.__args__
        if GRNFlowSparsePCA.knows_truth(new(GRNFlowSparsePCA, attention_source=source).config)
    ]
    assert knowing == ["oracle"]
    assert not TrainMean.knows_truth(TrainMean.Config())
