"""A scoring is written down so that it can be replayed, and read strictly."""

from __future__ import annotations

import copy
import json

import numpy as np
import pandas as pd
import pytest

from benchmark.errors import BenchmarkError
from benchmark.records.record import Coordinates, Record
from benchmark.studies.vcc2026.contexts import ContextScore
from benchmark.studies.vcc2026.document import (
    differences,
    document_of,
    read_document,
    require_same_data,
    write_document,
)
from benchmark.studies.vcc2026.suite import SIX


@pytest.fixture
def document() -> dict:
    table = pd.DataFrame(np.linspace(0.1, 0.6, 12).reshape(2, 6), ["A", "B"], list(SIX))
    table.loc["B", "de_wilcoxon_lfc_nmae"] = np.nan
    six = dict.fromkeys(SIX, 0.5)
    found = ContextScore(table, "counts", six, dict.fromkeys(SIX, 0.0), dict.fromkeys(SIX, 1.0), six, 5, 0)
    at = Coordinates(
        method="additive",
        method_version="1",
        configuration="default",
        config={},
        source_digest="s",
        dataset="simulated",
        dataset_digest="d",
        split="doubles",
        split_digest="t",
        seed=0,
        cells=20,
    )
    empty = {
        name: {} for name in ("metrics", "metric_versions", "scores", "versions", "seconds", "fallbacks")
    }
    empty |= {"perturbations": [], "groups": [], "peak_memory_mb": 1.0, "coverage": 1.0}
    record = Record(coordinates=at, status="finished", run_id="r", started="", device="cpu", **empty)
    return document_of(found, record)


def test_a_document_holds_all_that_a_replay_needs(document, tmp_path):
    """What was scored, the values of every perturbation, and the anchors; undefined is null."""
    path = write_document(document, tmp_path / "new")
    read = read_document(path)
    assert read == document
    assert read["suite"]["settings"]["dataset_digest"] == "d"
    assert read["suite"]["settings"]["anchors"] == {"halvings": 5, "seed": 0}
    assert read["metrics"]["de_wilcoxon_lfc_nmae"]["values"] == [pytest.approx(0.1 + 5 * 0.5 / 11), None]
    assert read["metrics"]["pds_cosine"]["statistics"] == {
        "mean": 0.5,
        "baseline": 0.0,
        "replicate": 1.0,
        "scaled": 0.5,
    }
    assert "values" not in read["metrics"]["expr_mse_unbiased_capped_norm"]


def test_differences_name_the_value_and_a_raised_version_explains_itself(document):
    assert differences(document, copy.deepcopy(document)) == []
    other = copy.deepcopy(document)
    other["metrics"]["pds_cosine"]["values"][1] += 0.25
    (found,) = differences(document, other)
    assert found.startswith("pds_cosine of B is ")
    other["metrics"]["pds_cosine"]["version"] = 2
    assert differences(document, other) == ["pds_cosine has version 2 now, not 1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as a scoring"),
        ("[]", "cannot be read as a scoring"),
        (json.dumps({"suite": {"name": "cell_eval2"}, "schema_version": 1}), "is of the suite 'cell_eval2'"),
        (json.dumps({"suite": {"name": "vcc2026"}, "schema_version": 2}), "form 2, and only vcc2026, form 1"),
    ],
)
def test_what_is_no_document_is_refused(tmp_path, text, message):
    path = tmp_path / "evaluation_results.json"
    path.write_text(text)
    with pytest.raises(BenchmarkError, match=message):
        read_document(path)


def test_the_form_is_that_of_cell_eval2(document):
    """Skipped where it is not installed (extra `eval`)."""
    pytest.importorskip("cell_eval2.evaluation_results").check_document(document)


def test_options_of_the_protocol_are_refused_where_they_mean_nothing(type_, home):
    code, _, err = type_("protocol", "norman_scdfm_additive", "--dataset", "simulated")
    assert (code, "leave out --dataset" in err) == (2, True)
    code, _, err = type_("protocol", "vcc2026")
    assert (code, "name one with --method" in err) == (2, True)
    code, _, err = type_("protocol", "vcc2026", "--replay", "nowhere.json")
    assert (code, "nowhere.json cannot be read as a scoring" in err) == (2, True)


@pytest.mark.slow
def test_the_protocol_prints_the_six_and_the_score_and_replays_it(type_, simulated, tmp_path):
    """On log values; a document that was changed does not come to the same."""
    asked = ("protocol", "vcc2026", "--dataset", "simulated", "--method", "additive", "--output", tmp_path)
    code, out, _ = type_(*asked)
    assert code == 0
    assert all(name in out for name in SIX)
    assert "of log1p" in out
    path = tmp_path / "evaluation_results.json"
    score = json.loads(path.read_text())["suite"]["settings"]["score"]
    assert f"Score: {score:+.4f}" in out
    assert 0.5 < score <= 1
    code, out, _ = type_("protocol", "vcc2026", "--replay", path)
    assert (code, f"score {score:.4f}" in out) == (0, True)
    changed = json.loads(path.read_text())
    changed["metrics"]["pds_cosine"]["values"][0] = 0.25
    path.write_text(json.dumps(changed))
    code, _, err = type_("protocol", "vcc2026", "--replay", path)
    assert (code, "does not come to the same: pds_cosine of" in err) == (2, True)


def test_a_reference_of_another_version_is_refused_in_one_line(document):
    require_same_data(document, "d")
    with pytest.raises(BenchmarkError, match="digest d, and that is e now; replay it on the data") as refusal:
        require_same_data(document, "e")
    assert "\n" not in str(refusal.value)
