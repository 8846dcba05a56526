"""A training is kept, whole or not at all, until its predictions are recorded; damage is noticed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmark.method import Method
from benchmark.records.tracking import Tracker
from benchmark.studies.order import saved
from benchmark.studies.order.arms import LATENT_FIRST
from benchmark.studies.order.execute import execute
from benchmark.studies.order.plan import make_plan
from tests.studies.order.order_case import experiment, fits, kept, write_short_case

pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture
def case(home, monkeypatch) -> Path:
    return write_short_case(home, monkeypatch)


def truncate(folder: Path) -> None:
    state = folder / "method" / "state.npz"
    state.write_bytes(state.read_bytes()[:-100])


def flip_one_byte(folder: Path) -> None:
    state = folder / "method" / "state.npz"
    content = bytearray(state.read_bytes())
    content[len(content) // 2] ^= 1
    state.write_bytes(bytes(content))


def lose_the_note(folder: Path) -> None:
    (folder / "training.json").unlink()


def lose_a_file(folder: Path) -> None:
    (folder / "method" / "method.json").unlink()


DAMAGES = [
    truncate,
    *(pytest.param(each, marks=pytest.mark.slow) for each in (flip_one_byte, lose_the_note, lose_a_file)),
]


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_training_is_made_again(case, caplog, damage):
    plan = make_plan(experiment(case))
    (case / "fail-joint").touch()
    execute(plan, Tracker())
    (case / "fail-joint").unlink()
    damage(case / "order" / plan.trainings[0].key[:32])
    assert execute(plan, Tracker()) == []
    assert fits(case).count("fit pretrained 0 40") == 2
    assert fits(case).count("fit noise 0 40") == 1
    assert "The saved training of fake_flow, pretrained, seed 0 is damaged" in caplog.text


def test_a_training_is_saved_whole_or_not_at_all(case, monkeypatch):
    def half(self, folder):
        folder.mkdir(parents=True)
        (folder / "state.npz").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    plan = make_plan(experiment(case))
    with monkeypatch.context() as patch:
        patch.setattr(Method, "save", half)
        missing = execute(plan, Tracker())
    assert len(missing) == len(plan.all_predictions)
    assert "No space left on device" in missing[0].reason
    assert kept(case) == []
    assert execute(plan, Tracker()) == []


def test_what_a_killed_process_left_of_saving_is_cleared_away(case):
    plan = make_plan(experiment(case))
    (case / "order" / f".{plan.trainings[0].key[:32]}.abc.part").mkdir(parents=True)
    execute(plan, Tracker())
    assert kept(case) == []


@pytest.mark.slow
def test_a_loaded_training_is_the_saved_one_on_the_device_that_is_asked_for(case):
    plan = make_plan(experiment(case, device="cpu"))
    training = plan.trainings[0]
    (case / "fail-joint").touch()
    execute(plan, Tracker())
    note = json.loads((case / "order" / training.key[:32] / "training.json").read_text())
    loaded = saved.load(training)
    assert loaded.seconds == note["seconds"]
    assert loaded.method.device == "cpu"
    assert loaded.method.config.order == LATENT_FIRST
