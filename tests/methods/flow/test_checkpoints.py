"""Training that survives: interrupted or killed anywhere, it comes to the same weights."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import methods._flow.training as module
from tests.methods.flow.flow_case import finished, objective, training
from tests.methods.flow.training_case import STEPS, assert_same, interrupted, score, uninterrupted

CHILD = """
import sys
from pathlib import Path
from tests.methods.flow.flow_case import training
from tests.methods.flow.training_case import score

steps = int(sys.argv[2])
for step, _ in training(Path(sys.argv[1]), validate=score, steps=steps, checkpoint_steps=1):
    print(step, flush=True)
    if step == steps - 1:
        sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path) -> Path:
    """A checkpoint in a folder that has nothing else."""
    (tmp_path / "place").mkdir()
    return tmp_path / "place" / "training.pt"


@pytest.mark.slow
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stop=st.integers(1, STEPS), every=st.integers(1, 7))
def test_a_training_cut_short_anywhere_goes_on_to_the_same_weights(path, stop, every):
    """Bit for bit, and it reports the same of the steps that are left."""
    reference, reports = uninterrupted()
    path.unlink(missing_ok=True)
    interrupted(path, stop, every)
    resumed = training(path, validate=score, checkpoint_steps=every)
    assert resumed.step == stop // every * every
    rest = tuple((step, tuple(values.items())) for step, values in resumed)
    assert rest == reports[resumed.step - len(rest) if rest else STEPS :]
    assert_same(resumed, reference)


def test_the_training_that_is_compared_with_keeps_weights_of_its_middle():
    """Else selection would not be tested here."""
    scores = [dict(values)["validation"] for _, values in uninterrupted()[1] if "validation" in dict(values)]
    assert 0 < scores.index(min(scores)) < 3, scores


def test_a_training_may_be_cut_short_again_and_again(path):
    """Two steps at a time, six times."""
    for stop in range(2, STEPS, 2):
        interrupted(path, stop, every=2)
    resumed = finished(path, validate=score, checkpoint_steps=2)
    assert_same(resumed, uninterrupted()[0])


class TroubleError(Exception):
    pass


@pytest.mark.parametrize("step", [1, 5, 12])
def test_an_error_in_the_middle_of_a_step_changes_nothing(path, step):
    """Raised after batches have been drawn, or while weights are scored."""
    calls = []

    class Fails:
        def draw(self, generator):
            return objective().draw(generator)

        def losses(self, flow, batch, device):
            found = objective().losses(flow, batch, device)
            calls.append(1)
            if len(calls) == step:
                raise TroubleError
            return found

    with pytest.raises(TroubleError):
        finished(path, learns=Fails(), validate=score, checkpoint_steps=2)
    assert_same(finished(path, validate=score, checkpoint_steps=2), uninterrupted()[0])


def test_an_error_while_weights_are_scored_changes_nothing(path):
    calls = []

    def fails(flow):
        calls.append(1)
        if len(calls) == 3:
            raise TroubleError
        return score(flow)

    with pytest.raises(TroubleError):
        finished(path, validate=fails, checkpoint_steps=1)
    assert_same(finished(path, validate=score, checkpoint_steps=1), uninterrupted()[0])


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 40])
def test_a_killed_process_resumes_to_the_same_weights(path, after):
    """SIGKILL while another process trains and writes a checkpoint at every step."""
    steps = 120
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path), str(steps)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
    )
    with child:
        while int(child.stdout.readline()) < after:
            pass
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    resumed = training(path, validate=score, steps=steps, checkpoint_steps=50)
    assert after <= resumed.step < steps
    for _ in resumed:
        pass
    assert_same(resumed, uninterrupted(steps)[0])


def test_an_early_end_is_remembered(path):
    """A training that had given up, killed before it said so, does not go on."""
    scores = iter([1.0, 2.0])
    for step, _ in training(path, validate=lambda flow: next(scores), patience=1, checkpoint_steps=1):
        if step == 6:
            break
    resumed = finished(path, validate=score, patience=1, checkpoint_steps=1)
    assert resumed.step == 6
    assert not path.exists()


def test_the_file_is_there_while_training_and_gone_at_the_end(path):
    """Written after every fifth step, whole, and with no part file beside it."""
    path.parent.rmdir()
    seen = [path.exists() for _ in training(path, checkpoint_steps=5)]
    assert seen == [False] * 4 + [True] * 8
    assert list(path.parent.iterdir()) == []


def test_checkpoints_by_time(path, monkeypatch):
    """Every five minutes of a clock that runs two minutes a step, and never where both rules are off."""
    now, written = [0.0], []
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(module, "save_whole", lambda state, path: written.append(state["step"]))
    run = training(path, checkpoint_minutes=5.0)
    for _ in run:
        now[0] += 120
    assert written == [4, 7, 10]
    written.clear()
    for _ in training(path):
        now[0] += 1e6
    assert written == []


def test_checkpoints_leave_the_global_random_state_alone(path):
    before = torch.get_rng_state()
    interrupted(path, 5, every=2)
    finished(path, validate=score, checkpoint_steps=2)
    assert torch.equal(before, torch.get_rng_state())
