"""What `benchmark metrics` says: every declaration, whole, and at once."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest

from benchmark.evaluation.metrics import METRICS
from tests.machine.process_case import environment


def test_the_list_names_every_metric_with_what_it_is(type_):
    code, out, err = type_("metrics")
    assert (code, err) == (0, "")
    rows = {words[0]: words[1:] for words in map(cells_of, out.splitlines()) if words and words[0] in METRICS}
    assert list(rows) == list(METRICS)
    assert rows["mse"] == ["expression", "lower", "yes", "mean"]
    assert rows["de_recall"] == ["DE", "higher", "no", "mean"]
    assert rows["interval_coverage_95"] == ["uncertainty", "neither", "no", "cells"]


def cells_of(line: str) -> list[str]:
    """The cells of a line of a table."""
    return [cell.strip() for cell in line.split("│") if cell.strip()]


def test_the_list_as_json_has_the_same_columns(type_):
    rows = json.loads(type_("metrics", "--json")[1])
    assert [row["name"] for row in rows] == list(METRICS)
    assert {tuple(row) for row in rows} == {("name", "family", "better", "headline", "needs")}
    assert [row["name"] for row in rows if row["headline"] == "yes"] == [
        name for name, declared in METRICS.items() if declared.spec.headline
    ]


@pytest.mark.parametrize("name", sorted(METRICS))
def test_one_metric_is_declared_in_full(type_, name):
    spec = METRICS[name].spec
    code, out, err = type_("metrics", name)
    assert (code, err) == (0, "")
    lines = dict(line.split(": ", 1) for line in out.splitlines())
    assert list(lines) == [field.name.replace("_", " ") for field in dataclasses.fields(spec)]
    assert lines["formula"] == spec.formula
    assert lines["nan means"] == spec.nan_means
    assert lines["range"].split(" to ") == [f"{bound:g}" for bound in spec.range]


def test_one_metric_as_json_has_no_infinity_and_says_the_best_value(type_):
    about = json.loads(type_("metrics", "weighted_r2", "--json")[1])
    assert about["range"] == [None, 1.0]
    assert (about["best"], about["higher_is_better"], about["headline"]) == (1.0, True, False)
    assert about["version"] == METRICS["weighted_r2"].spec.version
    assert json.loads(type_("metrics", "n_de_real", "--json")[1])["best"] is None


def test_a_misspelt_metric_gets_the_closest_one_and_a_strange_one_the_list(type_, home):
    assert type_("metrics", "pearson_centriod") == (
        2,
        "",
        "Error: There is no metric 'pearson_centriod'; did you mean 'pearson_centroid'?\n",
    )
    code, out, err = type_("metrics", "xyzzy", "--json")
    assert (code, out) == (2, "")
    assert "`python -m benchmark metrics` lists them" in err
    assert list(home.iterdir()) == []


def test_declarations_are_read_without_a_compiler_a_learner_or_a_tracker():
    heavy = ["numba", "sklearn", "torch", "mlflow", "anndata", "scipy.stats"]
    program = f"""
import sys
from benchmark.cli import main
try:
    main(["metrics", "mse_unbiased"])
except SystemExit as stop:
    assert stop.code == 0
print([name for name in {heavy} if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment(), check=True
    )
    assert done.stdout.splitlines()[0] == "name: mse_unbiased"
    assert done.stdout.splitlines()[-1] == "[]"
