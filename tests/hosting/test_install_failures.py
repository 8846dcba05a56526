"""An environment is installed whole or not at all."""

from __future__ import annotations

import signal
import subprocess
import sys

import psutil
import pytest

from benchmark.errors import BenchmarkError
from benchmark.hosting.installing import install
from tests.hosting.packages import left, versions
from tests.machine.process_case import COMMAND, PATIENCE, environment, wait_for_end, wait_until


@pytest.mark.slow
def test_a_package_that_cannot_be_had_leaves_nothing(packed, index):
    next(index.glob("two*")).unlink()
    sentence = (
        r"^The environment of 'packed' could not be installed \(pip ended with 1\), and nothing of it was "
        r"kept; see its last lines, then repeat `python -m benchmark install packed`:\n"
        r"(?s:.*)ERROR: No matching distribution found for two==1\.0"
    )
    with pytest.raises(BenchmarkError, match=sentence):
        install(packed)
    assert packed.python is None
    assert left() == []


@pytest.mark.slow
def test_an_index_that_does_not_answer_leaves_nothing(packed, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(BenchmarkError, match=r"(?s)could not be installed.*ERROR: No matching distribution"):
        install(packed)
    assert left() == []


@pytest.mark.slow
def test_a_failed_force_keeps_the_environment_that_was_there(packed, index):
    install(packed)
    before = left()
    next(index.glob("two*")).unlink()
    with pytest.raises(BenchmarkError, match="could not be installed"):
        install(packed, force=True)
    assert left() == before
    assert versions(packed) == "1.0 1.0"


def test_a_full_disk_leaves_nothing(packed, monkeypatch):
    """Files may have 20 kB only, so that pip itself, which the environment needs, has no room."""
    small = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)); "
    script = packed.folder / "small"
    script.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -c "{small}import os; '
        'os.execv(sys.executable, [sys.executable] + sys.argv[1:])" "$@"\n'
    )
    script.chmod(0o755)
    with pytest.raises(BenchmarkError, match=r"could not be installed \((venv|pip) ended with"):
        install(packed, python=str(script))
    assert packed.python is None
    assert left() == []


def test_a_python_that_is_not_there_is_named(packed):
    with pytest.raises(BenchmarkError, match=r"There is no Python 'python9' .*; check --python"):
        install(packed, python="python9")
    assert left() == []


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_an_installation_that_is_stopped_counts_for_nothing(packed, tmp_path, sign):
    """Stopped while pip builds a package that never ends; the next installation clears up."""
    source = tmp_path / "endless"
    source.mkdir()
    begun = tmp_path / "begun"
    (source / "setup.py").write_text(
        f"import time\nopen({str(begun)!r}, 'w').close()\ntime.sleep(3600)\n", encoding="utf-8"
    )
    (packed.folder / "requirements.txt").write_text(f"{source.as_uri()}\n", encoding="utf-8")
    process = subprocess.Popen(
        [*COMMAND, "install", f"{packed.folder / 'packed.py'}:Packed"],
        stderr=subprocess.PIPE,
        text=True,
        env={**environment(), "PIP_NO_BUILD_ISOLATION": "0"},
    )
    wait_until("pip builds the package", begun.exists, process)
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(sign)
    process.communicate(timeout=PATIENCE)
    assert packed.python is None
    if sign == signal.SIGINT:
        assert left() == []
        wait_for_end(family)
    (packed.folder / "requirements.txt").write_text("one==1.0\n", encoding="utf-8")
    install(packed)
    assert versions(packed) == "1.0 1.0"
