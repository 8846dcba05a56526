"""Training that survives: killed or damaged, it comes to the same weights or says what is wrong."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import methods._flow.training as module
from methods._flow.backbone import Flow, build_flow
from methods._flow.files import save_whole
from methods._flow.training import DivergedError, Training
from tests.flow_case import SHAPE, finished, objective, same_weights, training

STEPS = 12
MIDDLE = build_flow(SHAPE, 1).genes.embedding.weight[8].norm().item() * (1 - 4.5e-4)
CHILD = """
import sys
from pathlib import Path
from tests.test_flow_checkpoints import score
from tests.flow_case import training

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


def score(flow: Flow) -> float:
    """A score that is best in the middle: a token that nobody uses only decays, step by step."""
    return abs(flow.genes.embedding.weight[8].norm().item() - MIDDLE)


@cache
def uninterrupted(steps: int = STEPS) -> tuple[Training, tuple]:
    """A training that nothing disturbs, and what it reports: dropout, average and selection are on."""
    done = training(validate=score, steps=steps)
    return done, tuple((step, tuple(values.items())) for step, values in done)


def assert_same(one: Training, other: Training) -> None:
    """The last and the kept weights agree to the last bit."""
    assert same_weights(one.flow, other.flow)
    assert same_weights(one.result, other.result)
    assert not same_weights(one.flow, one.result)


def interrupted(path: Path, stop: int, every: int) -> None:
    """Train to a step and lose everything but the file."""
    for step, _ in training(path, validate=score, checkpoint_steps=every):
        if step == stop:
            return


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
        def losses(self, flow, generator, device):
            found = objective().losses(flow, generator, device)
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


@pytest.mark.parametrize("after", [1, 40])
def test_a_killed_process_resumes_to_the_same_weights(path, after):
    """SIGKILL while another process trains and writes a checkpoint at every step."""
    steps = 120
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path), str(steps)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
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


def test_a_checkpoint_is_written_whole_or_not_at_all(path, monkeypatch):
    """On a full disk the earlier one stays as it was, and no part file is left."""
    save_whole({"step": 1}, path)
    before = path.read_bytes()

    def full(state, partial):
        Path(partial).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="disk full"):
        save_whole({"step": 2}, path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def whole_checkpoint(path: Path) -> dict:
    """A checkpoint of step 4, read back."""
    interrupted(path, 4, every=4)
    return torch.load(path, weights_only=True)


def damage(path: Path, kind: str) -> None:
    """Put something in place of a checkpoint."""
    state = whole_checkpoint(path)
    content = path.read_bytes()
    wide = {**state, "flow": {**state["flow"], "fusion.second.weight": torch.zeros(3, 3)}}
    foreign = {**state, "optimiser": {"state": {}, "param_groups": []}}
    plain = {
        "half": content[: len(content) // 2],
        "first bytes": content[:100],
        "empty": b"",
        "text": b"no checkpoint at all",
        "pickle bomb": pickle.dumps(Bomb(path.with_name("ran"))),
    }
    saved = {
        "zipped bomb": {**state, "best": Bomb(path.with_name("ran"))},
        "list": [1, 2],
        "no average": {key: value for key, value in state.items() if key != "averaged"},
        "no score": {key: value for key, value in state.items() if key != "best_score"},
        "other shapes": wide,
        "other optimiser": foreign,
    }
    if kind in plain:
        path.write_bytes(plain[kind])
    else:
        torch.save(saved[kind], path)


@pytest.mark.parametrize(
    "kind",
    [
        "half", "first bytes", "empty", "text", "pickle bomb", "zipped bomb", "list", "no average",
        "no score", "other shapes", "other optimiser",
    ],
)  # fmt: skip
def test_a_damaged_checkpoint_is_reported_and_training_begins_again(path, caplog, kind):
    """From the first step to the same weights; nothing in the file is run or half used."""
    damage(path, kind)
    with caplog.at_level(logging.WARNING, "benchmark"):
        resumed = training(path, validate=score)
    assert resumed.step == 0
    (record,) = caplog.records
    assert record.getMessage().startswith(f"The checkpoint {path} cannot be read (")
    assert record.getMessage().endswith("); training begins again.")
    assert "\n" not in record.getMessage()
    for _ in resumed:
        pass
    assert_same(resumed, uninterrupted()[0])
    assert list(path.parent.iterdir()) == []


class Diverges:
    """Learns well until a step whose loss, or whose gradient alone, is no number."""

    def __init__(self, step: int, kind: str) -> None:
        self.step, self.kind, self.done = step, kind, 0

    def losses(self, flow, generator, device):
        found = objective().losses(flow, generator, device)
        self.done += 1
        if self.done == self.step:
            if self.kind == "gradient":
                zero = 0 * flow.fusion.first.bias.sum()
                return {**found, "loss": found["loss"] + zero.abs().sqrt()}
            return {**found, "loss": found["loss"] * float(self.kind)}
        return found


@pytest.mark.parametrize("kind", ["nan", "inf", "-inf", "gradient"])
@pytest.mark.parametrize("clip", [0.0, 1.0])
def test_a_loss_that_is_no_number_stops_with_the_step_and_the_last_good_checkpoint(path, kind, clip):
    """Step 9 fails, the checkpoint is of step 8, and from it a better run goes on to the usual end."""
    what = "gradient" if kind == "gradient" else "loss"
    with pytest.raises(DivergedError) as caught:
        finished(path, learns=Diverges(9, kind), validate=score, checkpoint_steps=4, gradient_norm=clip)
    assert str(caught.value) == (
        f"The {what} of step 9 is not finite; the last good checkpoint, of step 8, is {path}; "
        "lower learning_rate or clip gradient_norm."
    )
    state = torch.load(path, weights_only=True)
    assert state["step"] == 8
    assert all(weight.isfinite().all() for weight in state["flow"].values())
    if clip:
        assert_same(finished(path, validate=score), uninterrupted()[0])


def test_a_loss_that_is_no_number_at_first_says_that_there_is_no_checkpoint(path):
    said = "The loss of step 2 is not finite; no checkpoint had been written"
    for place in (None, path):
        with pytest.raises(DivergedError, match=said):
            finished(place, learns=Diverges(2, "nan"), checkpoint_steps=4)


def test_checkpoints_leave_the_global_random_state_alone(path):
    before = torch.get_rng_state()
    interrupted(path, 5, every=2)
    finished(path, validate=score, checkpoint_steps=2)
    assert torch.equal(before, torch.get_rng_state())
