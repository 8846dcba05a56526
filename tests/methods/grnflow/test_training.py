"""Fits of GRNFlow that are selected, interrupted, killed, damaged, rounded, or that diverge."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.errors import BenchmarkError
from benchmark.machine.paths import cache_folder
from benchmark.perturbation import Perturbation
from methods._flow.cascade import CascadeObjective
from methods._grnflow.validation import points_of
from methods.grnflow_sparse_pca import GRNFlowSparsePCA
from tests.methods.flow.flow_case import RecordingFlow, same_weights
from tests.methods.grnflow.grnflow_case import (
    LABELS,
    fitted,
    new,
    predicted,
    recorded,
    training_cells,
    validation_cells,
)

CHILD = """
import sys
from benchmark.machine.progress import report_to
from methods.grnflow_sparse_pca import GRNFlowSparsePCA
from tests.methods.grnflow.grnflow_case import Recorder, fitted

class Prints(Recorder):
    def advance(self, steps=1, **values):
        super().advance(steps, **values)
        print(self.now, self.done[self.now], flush=True)
        if (self.now, self.done[self.now]) == ("train flow", 29):
            sys.stdin.read()

with report_to(Prints()):
    fitted(GRNFlowSparsePCA, steps=30, checkpoint_steps=1)
"""


def checkpoints() -> list[Path]:
    """The checkpoints of flows that lie about."""
    folder = cache_folder("checkpoints")
    return list(folder.iterdir()) if folder.exists() else []


def test_the_best_weights_on_validation_are_kept(monkeypatch):
    """Of three checks scored 2, 1 and 3, the second's weights are predicted with."""
    scores, seen = iter([2.0, 1.0, 3.0]), []

    def score(flow):
        seen.append({key: value.clone() for key, value in flow.state_dict().items()})
        return next(scores)

    monkeypatch.setattr(GRNFlowSparsePCA, "_validation", lambda *_: score)
    method = fitted(GRNFlowSparsePCA, checks=3)
    assert all(torch.equal(seen[1][key], value) for key, value in method.flow_.state_dict().items())
    assert any(not torch.equal(seen[2][key], value) for key, value in method.flow_.state_dict().items())


@pytest.mark.parametrize("order", ["latent_first", "expression_first"])
def test_validation_is_the_error_of_the_velocity(order):
    """A flow that stands still errs by data - noise; the latent is as told, or noise at rest."""
    method = fitted(GRNFlowSparsePCA)
    points = list(points_of(method, training_cells(), validation_cells(), torch.Generator().manual_seed(0)))
    assert [point.tokens for point in points] == [method.tokens(Perturbation.parse(LABELS[-1]))]
    (point,) = points
    flow = RecordingFlow()
    flow.parameters = method.flow_.parameters
    expected = (point.end - point.start).square().mean()
    assert point.error(flow, order, None, "float32") == pytest.approx(float(expected))
    (call,) = flow.calls
    t = point.times.unsqueeze(1)
    torch.testing.assert_close(call["x_t"], (1 - t) * point.start + t * point.end)
    told = method.centre_.told(Perturbation.parse(LABELS[-1]), method._units)[:, 16:]
    latent, time = (torch.from_numpy(told), 1) if order == "latent_first" else (point.latent_noise[0], 0)
    torch.testing.assert_close(call["z_t"][0], latent)
    assert call["t_latent"].tolist() == [time] * len(point.times)


def test_without_validation_cells_or_checks_the_last_weights_are_kept():
    for validation, checks in ((validation_cells()[:0].copy(), 3), (validation_cells(), 0)):
        with recorded() as seen:
            new(GRNFlowSparsePCA, checks=checks).fit(training_cells(), validation)
        assert seen.all("train flow", "validation") == []


def test_progress_is_reported_by_stage():
    """Five stages, each advanced to its total, with values that are finite."""
    with recorded() as seen:
        fitted(GRNFlowSparsePCA)
    assert list(seen.totals) == [
        "pretrain gene transformer",
        "attention change",
        "learn centre",
        "train flow",
        "complete centre",
    ]
    assert seen.totals == seen.done
    reported = {name for values in seen.values["train flow"] for name in values}
    assert {"loss", "expr_r2", "latent_r2", "validation"} <= reported
    assert all(np.isfinite(list(v.values())).all() for stage in seen.values.values() for v in stage)


def test_a_fit_that_was_interrupted_goes_on_where_it_was():
    """At step 17 with checkpoints every 5, it goes on from step 15 to the same flow, and leaves nothing."""
    with recorded() as whole:
        expected = fitted(GRNFlowSparsePCA, steps=30, checkpoint_steps=5, dropout=0.2)
    with pytest.raises(KeyboardInterrupt), recorded(stop=("train flow", 17)):
        fitted(GRNFlowSparsePCA, steps=30, checkpoint_steps=5, dropout=0.2)
    assert len(checkpoints()) == 1
    with recorded() as seen:
        resumed = fitted(GRNFlowSparsePCA, steps=30, checkpoint_steps=5, dropout=0.2)
    assert seen.all("train flow", "loss") == whole.all("train flow", "loss")[15:]
    assert seen.done["train flow"] == 30
    assert same_weights(resumed.flow_, expected.flow_)
    assert checkpoints() == []


@pytest.mark.slow
def test_a_killed_fit_goes_on_to_the_same_flow(home):
    """SIGKILL while a process trains and writes a checkpoint at every step."""
    expected = fitted(GRNFlowSparsePCA, steps=30, checkpoint_steps=1)
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads()), "BENCHMARK_HOME": str(home)},
    )
    with child:
        while child.stdout.readline() != "train flow 9\n":
            pass
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    assert [path for path in checkpoints() if path.suffix == ".pt"]
    with recorded() as seen:
        resumed = fitted(GRNFlowSparsePCA, steps=30, checkpoint_steps=1)
    assert len(seen.all("train flow", "loss")) <= 21
    assert same_weights(resumed.flow_, expected.flow_)


@pytest.mark.parametrize(
    "change",
    [
        {"learning_rate": 1e-3},
        *(
            pytest.param(change, marks=pytest.mark.slow)
            for change in ({"seed": 1}, {"attention_source": "random"}, {"checkpoint_steps": 6})
        ),
    ],
    ids=str,
)
def test_a_checkpoint_of_other_settings_is_not_used(change):
    """Not even of another seed; and it stays where it is."""
    with pytest.raises(KeyboardInterrupt), recorded(stop=("train flow", 17)):
        fitted(GRNFlowSparsePCA, steps=30, checkpoint_steps=5)
    (left,) = checkpoints()
    with recorded() as seen:
        fitted(GRNFlowSparsePCA, **{"steps": 30, "checkpoint_steps": 5, **change})
    assert len(seen.all("train flow", "loss")) == 30
    assert checkpoints() == [left]


def test_a_checkpoint_of_other_cells_is_not_used():
    """Keys differ with a value, a label, the name of a gene or the validation cells; else they do not."""
    train, validation = training_cells(), validation_cells()

    def key(train, validation):
        return new(GRNFlowSparsePCA)._training_key(train, validation)

    value, label, name, other = train.copy(), train.copy(), train.copy(), validation.copy()
    value.X.data[0] += 1
    label.obs["perturbation"] = label.obs["perturbation"].str.replace("G1", "G3")
    name.var_names = [*train.var_names[:-1], "X"]
    other.X.data[0] += 1
    keys = [key(part, validation) for part in (train, value, label, name)] + [key(train, other)]
    assert len(set(keys)) == 5
    assert key(train.copy(), validation.copy()) == keys[0]


def test_a_damaged_checkpoint_is_reported_and_the_fit_begins_again(caplog):
    expected = fitted(GRNFlowSparsePCA, steps=30)
    with pytest.raises(KeyboardInterrupt), recorded(stop=("train flow", 17)):
        fitted(GRNFlowSparsePCA, steps=30, checkpoint_steps=5)
    (left,) = checkpoints()
    left.write_bytes(left.read_bytes()[:1000])
    with caplog.at_level(logging.WARNING, "benchmark"):
        again = fitted(GRNFlowSparsePCA, steps=30, checkpoint_steps=5)
    assert f"The checkpoint {left} cannot be read" in caplog.text
    assert same_weights(again.flow_, expected.flow_)


def test_a_loss_that_is_no_number_ends_the_fit_in_one_sentence(monkeypatch):
    """It names the step and the last good checkpoint, which stays."""
    honest, calls = CascadeObjective.losses, []

    def losses(self, *given):
        calls.append(1)
        found = honest(self, *given)
        return {**found, "loss": found["loss"] * (float("nan") if len(calls) == 14 else 1)}

    monkeypatch.setattr(CascadeObjective, "losses", losses)
    with pytest.raises(BenchmarkError) as caught:
        fitted(GRNFlowSparsePCA, steps=30, checkpoint_steps=5)
    (left,) = checkpoints()
    assert str(caught.value) == (
        f"The loss of step 14 is not finite; the last good checkpoint, of step 10, is {left}; "
        "lower learning_rate or clip gradient_norm."
    )


def test_predictions_in_bfloat16_come_close():
    """With the same weights, computed with rounded products."""
    method = fitted(GRNFlowSparsePCA, precision="float32")
    exact = predicted(method, "A+B")[0]
    method.config = method.config.model_copy(update={"precision": "bfloat16"})
    rough = predicted(method, "A+B")[0]
    assert rough.dtype == np.float32
    assert not np.array_equal(rough, exact)
    np.testing.assert_allclose(rough, exact, atol=0.15)


def test_a_flow_can_be_fitted_in_bfloat16():
    assert np.isfinite(predicted(fitted(GRNFlowSparsePCA, precision="bfloat16"), "A+B")[0]).all()
