"""Training that is harmed: files cut short or forged, full disks, and losses that are no number."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path

import pytest
import torch

from methods._flow.files import save_whole
from methods._flow.training import DivergedError
from tests.bomb import Bomb
from tests.methods.flow.flow_case import finished, objective, training
from tests.methods.flow.training_case import assert_same, interrupted, score, uninterrupted


@pytest.fixture
def path(tmp_path) -> Path:
    """A checkpoint in a folder that has nothing else."""
    (tmp_path / "place").mkdir()
    return tmp_path / "place" / "training.pt"


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

    def draw(self, generator):
        return objective().draw(generator)

    def losses(self, flow, batch, device):
        found = objective().losses(flow, batch, device)
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
