"""Several processes train one flow: as one process would with all their cells."""

from __future__ import annotations

import pytest
import torch

from tests.methods.flow.devices_case import CASES, ROUNDING, STEPS, in_one_process, in_processes


@pytest.fixture(scope="module")
def together(tmp_path_factory) -> list[dict]:
    """What each of two processes found; starting them takes longer than what they do."""
    return in_processes(tmp_path_factory.mktemp("devices"))


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_two_processes_train_as_one_with_twice_the_batch(name, together):
    alone = in_one_process(CASES[name](), 2)
    assert len(alone["curve"]) == STEPS
    for found in together:
        for mine, theirs in zip(alone["curve"], found[name]["curve"], strict=True):
            assert mine.keys() == theirs.keys()
            # Velocities come in float32; where they lie between two of its numbers, either may be taken.
            assert all(theirs[part] == pytest.approx(mine[part], rel=0, abs=1e-6) for part in mine)
        torch.testing.assert_close(found[name]["weights"], alone["weights"], rtol=0, atol=ROUNDING)
        torch.testing.assert_close(found[name]["result"], alone["result"], rtol=0, atol=ROUNDING)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_all_processes_hold_the_same_weights_to_the_last_bit(name, together):
    one, other = (found[name]["weights"] for found in together)
    assert all(torch.equal(one[part], other[part]) for part in one)


@pytest.mark.parametrize("name", CASES)
def test_the_batch_of_one_process_alone_gives_another_curve(name):
    doubled, single = in_one_process(CASES[name](), 2), in_one_process(CASES[name](), 1)
    assert doubled["curve"][-1]["loss"] != pytest.approx(single["curve"][-1]["loss"], rel=1e-3)


@pytest.mark.slow
def test_work_that_is_spread_comes_back_whole_and_in_order_in_every_process(together):
    assert [found["spread"] for found in together] == [[0, -1, -2, -3, -4]] * 2


@pytest.mark.slow
def test_all_processes_agree_on_what_the_first_one_says(together):
    assert [found["agreed"] for found in together] == [0, 0]
