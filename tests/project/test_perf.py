"""The measurements of `perf/` still fit the code that they measure; what they find is nobody's test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PERF = Path(__file__).parents[2] / "perf"

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("what", "size"),
    [
        ("step", ["literal", 4, 20, 1, "cpu"]),
        ("step", ["auto", 4, 20, 1, "cpu"]),
        ("sampling", ["literal", 32, 1, 50]),
        ("sampling", ["small", 32, 1, 80]),
        ("features", [200, 64, 2]),
    ],
)
def test_networks_and_features_are_measured(what, size):
    command = [sys.executable, "flow.py", "--child", what, json.dumps(size)]
    done = subprocess.run(command, cwd=PERF, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["cpu"] > 0
