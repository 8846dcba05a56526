"""``doctor`` says what is installed, what is missing, what the machine has and where things are kept."""

from __future__ import annotations

import json
import os

import pytest

from benchmark.machine import extras

CORE = [extras.Package("numpy", ">=2", "2.4.1", fits=True)]
LEAN = {extras.CORE: CORE, "ray": [extras.Package("ray", "<3", None, fits=False)]}


@pytest.fixture
def installed(monkeypatch):
    """What is installed; a test may change it."""
    found = dict(LEAN)
    monkeypatch.setattr(extras, "packages", lambda: found)
    monkeypatch.setenv("BENCHMARK_DATA", "")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("PATH", "")
    return found


@pytest.fixture
def gpu(installed, tmp_path, monkeypatch):
    """A stand-in for the program that sees GPUs."""
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'NVIDIA H200, 143771 MiB'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    return program


def test_a_lean_installation_is_well_and_says_what_an_extra_would_give(type_, installed, home):
    code, out, err = type_("doctor")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines.index("not installed") < lines.index(
        "  ray               sweep --executor ray: many runs on a cluster"
    )
    assert f"{'':20}pip install 'perturbation-benchmark[ray]'" in lines
    assert "  GPUs              none that nvidia-smi sees" in lines
    assert lines[-1] == "Nothing is wrong."
    assert str(home) in out
    assert max(map(len, out.replace(str(home), "HOME").splitlines())) <= 80
    assert list(home.iterdir()) == []


def test_all_of_it_is_one_object(type_, installed, home, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://somebody:secret@host/runs")
    code, out, _ = type_("doctor", "--json")
    about = json.loads(out)
    assert code == 0
    assert [group["extra"] for group in about["installed"]] == ["", "ray"]
    assert [group["complete"] for group in about["installed"]] == [True, False]
    assert about["kept"]["home"] == str(home)
    assert about["kept"]["runs"] == "postgresql://somebody:***@host/runs"
    assert about["machine"]["gpus"] == []
    assert about["wrong"] == []


def test_what_is_wrong_is_said_and_is_the_exit_code(type_, installed, monkeypatch, tmp_path):
    installed[extras.CORE] = [
        extras.Package("numpy", ">=2", None, fits=False),
        extras.Package("typer", ">=0.29", "0.27.0", fits=False),
    ]
    monkeypatch.setenv("BENCHMARK_DATA", f"{tmp_path}{os.pathsep}nowhere")
    code, out, _ = type_("doctor", "--json")
    assert code == 1
    assert json.loads(out)["wrong"] == [
        "The package numpy is missing; `pip install perturbation-benchmark` adds it.",
        "typer 0.27.0 is installed, but >=0.29 is needed; `pip install perturbation-benchmark` changes it.",
        "BENCHMARK_DATA names nowhere, which is no folder; correct it.",
    ]


def test_a_home_that_cannot_be_written_is_wrong(type_, installed, home, monkeypatch):
    monkeypatch.setattr("benchmark.cli.doctor.os.access", lambda *_: False)
    code, out, _ = type_("doctor", "--json")
    assert code == 1
    assert json.loads(out)["wrong"] == [
        f"Nothing can be written to {home}; set BENCHMARK_HOME to another folder."
    ]


def test_a_gpu_is_named_and_whether_torch_can_use_it(type_, gpu, installed):
    installed["flows"] = [extras.Package("torch", ">=2.6", "2.13.0", fits=True)]
    code, out, _ = type_("doctor")
    assert (code, "GPUs              NVIDIA H200, 143771 MiB" in out) == (0, True)
    assert "without CUDA" not in out
    installed["flows"] = [extras.Package("torch", ">=2.6", "2.13.0+cpu", fits=True)]
    code, out, _ = type_("doctor")
    assert (code, "torch 2.13.0+cpu was built without CUDA, and cannot use them" in out) == (0, True)


def test_a_program_that_sees_no_gpu_is_believed(type_, gpu):
    gpu.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed'\nexit 9\n")
    code, out, _ = type_("doctor")
    assert (code, "none that nvidia-smi sees" in out) == (0, True)
