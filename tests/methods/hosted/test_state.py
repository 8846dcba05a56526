"""STATE behind the harness: the means that the package gives by hand, and what it is told and refuses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from pydantic import ValidationError

from benchmark.errors import BenchmarkError
from methods.state import State, StateConfig
from tests.hosting.hosted import needs
from tests.methods.hosted.driving import PANEL, SEED, by_hand, require_parity, through_harness

SETTINGS = {
    "cell_set_len": 8,
    "hidden_dim": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "batch_size": 3,
    "max_steps": 120,
    "val_freq": 30,
    "lr": 5e-3,
}
BACKBONE = "model.kwargs.transformer_backbone_kwargs."
TOLD = {
    "name": "run",
    "use_wandb": "false",
    "overwrite": "true",
    "data.kwargs.embed_key": "X_hvg",
    "data.kwargs.output_space": "gene",
    "data.kwargs.num_workers": 0,
    "data.kwargs.pert_col": "perturbation",
    "data.kwargs.cell_type_key": "cell_type",
    "data.kwargs.batch_col": "batch",
    "data.kwargs.control_pert": "control",
    "training.train_seed": SEED,
    "training.batch_size": 3,
    "training.max_steps": 120,
    "training.val_freq": 30,
    "training.lr": 5e-3,
    "model": "state",
    "model.kwargs.cell_set_len": 8,
    "model.kwargs.hidden_dim": 24,
    "+model.kwargs.gene_decoder_bool": "false",
    f"+{BACKBONE}vocab_size": 8,
    f"{BACKBONE}num_hidden_layers": 2,
    f"{BACKBONE}num_attention_heads": 3,
    f"{BACKBONE}num_key_value_heads": 3,
    f"{BACKBONE}head_dim": 8,
    f"{BACKBONE}intermediate_size": 40,
}
"""What the same settings are on the package's command line."""


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"hidden_dim": 60}, "hidden_dim 60 to be a multiple of twice"),
        ({"val_freq": 9, "max_steps": 3}, "val_freq 9 to be at most max_steps 3"),
    ],
)
def test_settings_that_the_package_would_stumble_over_are_refused_at_once(settings, sentence):
    with pytest.raises(ValidationError, match=sentence):
        StateConfig(**settings)


def test_the_licence_is_said():
    assert "CC BY-NC-SA 4.0, for non-commercial use" in State.licence
    assert "CC BY-NC-SA 4.0, for non-commercial use" in State.__doc__


@pytest.mark.slow
def test_the_harness_gives_the_means_of_the_package():
    """Same cells, validation, seed and settings: its command line, its own choice of the step, its class."""
    needs("state")
    require_parity(through_harness(State, **SETTINGS), by_hand(State, told=TOLD))


@pytest.mark.slow
def test_a_cell_is_answered_in_its_set_and_a_short_set_is_filled_up():
    needs("state")
    hosted = State(StateConfig.build("smoke"), seed=0, device="cpu").fit(*PANEL.views)
    control = PANEL.control
    assert control.n_obs == 12  # a set of eight, and one that is filled up with the first four
    rows = [*range(12), *range(4)]
    labels = pd.DataFrame({"perturbation": "control"}, index=[str(row) for row in range(16)])
    filled = AnnData(control.X[rows], obs=labels, var=control.var)
    (short,), (long,) = (hosted.predict(cells, PANEL.questions[:1]) for cells in (control, filled))
    np.testing.assert_allclose(long[:12], short, atol=1e-5)


@pytest.mark.slow
def test_a_training_that_diverges_says_so():
    needs("state")
    hosted = State(StateConfig.build("smoke"), device="cpu")
    train, validation = PANEL.views
    train.X.data[:] = np.inf
    with pytest.raises(BenchmarkError, match="gave nothing that predicts finite numbers; lower its rates"):
        hosted.fit(train, validation)
