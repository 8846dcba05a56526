"""What people type and see of the order experiment: the forecast, files, the answer, exit codes."""

from __future__ import annotations

import re
import signal
from functools import partial

import pytest

from benchmark.records.tracking import Tracker
from tests.machine.process_case import PATIENCE, started
from tests.studies.order.order_case import (
    log,
    write_case,
)

pytestmark = pytest.mark.usefixtures("store")

ONE = ("--seeds", "1", "--sources", "pretrained")


@pytest.fixture
def options(home) -> list[str]:
    return write_case(home)


@pytest.fixture
def type_(type_):
    """Type ``order`` with options; returns exit code, stdout and stderr."""
    return partial(type_, "order")


def test_plan_says_what_is_needed_and_does_nothing(home, options, type_):
    code, out, _ = type_(*options, "--seeds", "2", "--plan")
    assert code == 0
    *needed, rest, flow, _, plain, _ = out.splitlines()
    assert needed == [
        "Tested: pretrained, regression; negative controls: noise, wrong.",
        "No positive control, so that the answer can be no more than open.",
        "Orders: latent_first, expression_first, joint. Without a latent: fake_plain.",
        "Needed: 10 trainings (0 done), 26 predictions (0 done)",
        "and 10 runs of simple methods (0 done).",
    ]
    assert re.fullmatch(r"The rest takes about [\d.]+ s here:", rest)
    assert [line.split(":")[0].strip() for line in (flow, plain)] == ["fake_flow", "fake_plain"]
    assert max(map(len, out.splitlines())) <= 80
    assert Tracker().runs() == []
    assert not (home / "leaderboard").exists()


def test_the_command_writes_report_and_figure_and_says_the_answer(home, options, type_):
    code, out, err = type_(*options, *ONE)
    assert code == 0
    report = home / "leaderboard" / "order-tiny.md"
    assert out.splitlines() == [
        '"Understanding the network\'s change comes first", with pretrained as source, is',
        "  open: no truth is known of these data, so there is no positive control.",
        f"the report is {report}",
    ]
    assert (
        "Needed: 4 trainings (0 done), 10 predictions (0 done)\nand 5 runs of simple methods (0 done)." in err
    )
    text = report.read_text()
    assert "(order-tiny.png)" in text
    assert (home / "leaderboard" / "order-tiny.png").read_bytes().startswith(b"\x89PNG\r\n")
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings == [
        "## What is asked",
        "## What must hold before anything is concluded",
        "## What would answer it",
        "## How it is counted",
        "## Answer",
        "## Differences",
        "## Where it stands beside simple methods",
        "## Mean scores",
        "## Does the attention know the network?",
        "## How it was made",
    ]
    assert not list((home / "leaderboard").glob(".*"))


@pytest.mark.slow
def test_the_same_command_again_writes_the_same_report(home, options, type_):
    type_(*options, *ONE)
    report = home / "leaderboard" / "order-tiny.md"
    first = report.read_text()
    report.unlink()
    code, _, err = type_(*options, *ONE)
    assert (code, report.read_text()) == (0, first)
    assert (
        "Needed: 4 trainings (4 done), 10 predictions (10 done)\nand 5 runs of simple methods (5 done)."
        in err
    )


@pytest.mark.slow
def test_a_failure_is_in_the_report_and_in_the_exit_code(home, options, type_, caplog):
    (home / "fail-joint").touch()
    code, out, _ = type_(*options, *ONE)
    assert code == 1
    assert "3 predictions are missing" in out
    reason = "fake_flow failed while predicting: ValueError: no joint today"
    assert f"Failed: fake_flow, pretrained, joint, seed 0 ({reason})" in caplog.text
    text = (home / "leaderboard" / "order-tiny.md").read_text()
    missing = text.split("## What is missing")[1].split("##")[0]
    assert f"- fake_flow, pretrained, joint, seed 0: {reason}" in missing
    assert f"- fake_flow, noise, joint, seed 0: {reason}" in missing
    assert "- pretrained: latent_first − joint: not made in every seed" in text
    (home / "fail-joint").unlink()
    code, _, _ = type_(*options, *ONE)
    assert code == 0
    assert "What is missing" not in (home / "leaderboard" / "order-tiny.md").read_text()


@pytest.mark.slow
def test_a_report_without_any_result_says_so(home, options, type_):
    for source in ("pretrained", "noise", "wrong"):
        (home / f"fail-{source}").touch()
    code, _, _ = type_(*options, *ONE)
    text = (home / "leaderboard" / "order-tiny.md").read_text()
    assert code == 1
    assert "No two arms can be compared yet." in text
    assert not (home / "leaderboard" / "order-tiny.png").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--seeds", "0"], "At least 1 seed is needed, not 0."),
        (["--controls", "random,latent_frist"], "There is no control 'latent_frist'"),
        (["--controls", "oracle"], "'oracle' is a source and cannot be a control"),
        (["--sources", "pretrained,oracle"], "knows the truth of simulated data sets alone"),
        (["--set", "steps"], "--set takes NAME=VALUE"),
        (["--set", "order=joint"], "chooses 'order' itself"),
        (["--output", "report.txt"], "a name that ends in .md"),
        (["--output", "nowhere/report.md"], "There is no folder nowhere"),
        (["--split", "double"], "did you mean 'doubles'?"),
        (["--device", "tpu"], "There is no device 'tpu'"),
    ],
)
def test_bad_requests_get_one_line_and_exit_2(home, options, type_, arguments, sentence):
    code, out, err = type_(*options, *arguments)
    assert (code, out) == (2, "")
    assert err.strip().splitlines()[-1].startswith("Error: ")
    assert sentence in err
    assert log(home) == []


@pytest.mark.slow
def test_ctrl_c_exits_with_130_and_the_same_command_goes_on(home, options, type_):
    (home / "slow").touch()
    (home / "own.py").write_text(
        (home / "own.py").read_text()
        + "\nimport time\n"
        + "class Slow(Flow):\n"
        + "    def predict(self, control, perturbations):\n"
        + "        if self.config.order == 'joint' and (HOME / 'slow').exists():\n"
        + "            (HOME / 'waiting').touch()\n"
        + "            time.sleep(3600)\n"
        + "        return super().predict(control, perturbations)\n"
    )
    slow = [option.replace(":Flow", ":Slow") for option in options]
    process = started(["order", *slow, *ONE], home / "waiting")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert errors.strip().splitlines()[-1].startswith("Interrupted;")
    (home / "slow").unlink()
    code, _, err = type_(*slow, *ONE)
    assert code == 0
    assert (
        "Needed: 4 trainings (1 done), 10 predictions (2 done)\nand 5 runs of simple methods (5 done)." in err
    )
    assert log(home).count("fit pretrained 0 40") == 1
