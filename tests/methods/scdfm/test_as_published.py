"""The known faults of the published code are off by default, and one switch restores them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from methods.scdfm import ScDFM
from tests.methods.grnflow.grnflow_case import fitted, new, predicted, training_cells


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Keep checkpoints out of the project."""
    monkeypatch.setenv("BENCHMARK_HOME", str(tmp_path))


def test_dropout_at_prediction():
    """Asking twice gives the same cells; as published, other ones."""
    corrected, published = fitted(ScDFM, dropout=0.5), fitted(ScDFM, dropout=0.5, as_published=True)
    np.testing.assert_array_equal(*(predicted(corrected, "A")[0] for _ in range(2)))
    first, second = (predicted(published, "A")[0] for _ in range(2))
    assert np.abs(first - second).max() > 0.01
    assert not corrected.flow_.training


def test_dropout_at_prediction_leaves_the_global_random_state_alone():
    method = fitted(ScDFM, dropout=0.5, as_published=True)
    before = torch.get_rng_state()
    predicted(method, "A")
    assert torch.equal(before, torch.get_rng_state())


def test_logarithms_in_the_graph():
    """As published, log1p is taken of values that are log1p already."""
    values = training_cells().X
    logs = values.copy()
    logs.data = np.log1p(logs.data)
    for published, expected in ((False, values), (True, logs)):
        found = new(ScDFM, as_published=published).correlation(values)
        np.testing.assert_allclose(found, np.corrcoef(expected.toarray().T), atol=1e-6)


def test_times_in_the_sinusoids():
    """Scaled to a thousand all frequencies vary between time 0 and 1; unscaled, the slow ones do not."""
    for published, fastest in ((False, 1000.0), (True, 1.0)):
        rates = fitted(ScDFM, as_published=published, time_scale=1000).flow_.expression_time.rates
        assert float(rates[0]) == fastest
        moved = (1 - torch.cos(rates)) > 0.01
        assert float(moved.float().mean()) > 0.8 if not published else float(moved.float().mean()) < 0.3


def test_seeds():
    """The same seed gives the same weights; as published, nothing is seeded."""
    one, two = (fitted(ScDFM).flow_.state_dict() for _ in range(2))
    assert all(torch.equal(one[key], two[key]) for key in one)
    one, two = (fitted(ScDFM, as_published=True).flow_.state_dict() for _ in range(2))
    assert not all(torch.equal(one[key], two[key]) for key in one)


def test_selection():
    """By default validation perturbations choose the weights; as published nothing here does."""
    scored = []

    class Watched(ScDFM):
        def _validation(self, train, validation):
            scored.append(self.config.as_published)
            return super()._validation(train, validation)

    fitted(Watched)
    fitted(Watched, as_published=True)
    assert scored == [False]
