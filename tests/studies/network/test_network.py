"""Claims about ``benchmark network`` as people type it: what is found, printed and refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmark.data import load_dataset
from benchmark.data.cards import load_card
from benchmark.data.simulator.embedded import load_truth
from benchmark.splits import load_split
from benchmark.splits.views import training_views
from benchmark.studies.network.scores import average_precision
from tests.studies.network.network_case import write_case


@pytest.fixture
def fake(home, tmp_path, monkeypatch) -> list[str]:
    """Options for a method with attention on a small simulated data set."""
    monkeypatch.delenv("BENCHMARK_DATA", raising=False)
    return write_case(home, tmp_path)


def rows_of(findings: dict, question: str) -> dict[tuple[str, str], dict]:
    found = [row for row in findings["rows"] if row["question"] == question]
    return {(row["source"], row["ranking"]): row for row in found}


def test_attention_that_knows_the_network_scores_1_and_beats_what_needs_no_transformer(type_, fake) -> None:
    code, out, err = type_("network", *fake, "--json")
    assert code == 0
    findings = json.loads(out)
    assert list(findings["questions"]) == ["edges", "direct targets", "within two steps", "reachable"]
    for question, ranking in (("edges", "attention"), ("direct targets", "change at the perturbed")):
        rows = rows_of(findings, question)
        known, other = rows["pretrained", ranking], rows["random", ranking]
        assert known["auprc"] == pytest.approx({"value": 1, "low": 1, "high": 1})
        assert known["early_precision"] == pytest.approx(1)
        assert known["verdict"] == "better"
        assert other["verdict"] == "worse"
        assert rows["shuffled", ranking]["auprc"]["value"] < 0.7
        assert rows["chance", "random order"]["auprc_ratio"] == 1
    assert findings["verdicts"]["pretrained"].startswith("pretrained: better than chance in ")
    assert "a method may print" in err
    assert "maps pretrained" in err


def test_figures_agree_with_the_truth_file_and_the_edge_density(type_, fake, home) -> None:
    findings = json.loads(type_("network", *fake, "--json")[1])
    network = load_truth(load_card("small")).network
    pairs = len(network.regulators) * 39
    rows = rows_of(findings, "edges")
    assert findings["questions"]["edges"] == (
        f"{len(network.target)} edges of {len(network.regulators)} regulators among 40 genes"
    )
    assert rows["chance", "random order"]["early_precision"] == pytest.approx(len(network.target) / pairs)
    noise = np.random.default_rng(0).random((40, 40))
    truth = np.zeros((40, 40), dtype=bool)
    truth[network.target, network.regulator] = True
    ranked = ~np.eye(40, dtype=bool)[:, network.regulators]
    columns = [values[:, network.regulators][ranked] for values in (truth, noise)]
    found = rows["random", "attention"]
    assert found["auprc"]["value"] == pytest.approx(average_precision(*columns))
    assert found["auprc_ratio"] == pytest.approx(
        found["auprc"]["value"] / rows["chance", "random order"]["auprc"]["value"]
    )


def test_expression_is_read_off_training_cells_alone(type_, fake) -> None:
    findings = json.loads(type_("network", *fake, "--sources", "random", "--json")[1])
    dataset = load_dataset("small")
    train, _ = training_views(dataset, load_split(dataset, "doubles", 0))
    network = load_truth(load_card("small")).network
    truth = np.zeros((40, 40), dtype=bool)
    truth[network.target, network.regulator] = True
    ranked = ~np.eye(40, dtype=bool)[:, network.regulators]

    def area(cells) -> float:
        with np.errstate(invalid="ignore"):
            score = np.abs(np.nan_to_num(np.corrcoef(cells.X.toarray().T.astype(float))))
        score = (score + score.T) / 2
        return average_precision(*(table[:, network.regulators][ranked] for table in (truth, score)))

    rows = rows_of(findings, "edges")
    control = train[train.obs["perturbation"] == "control"]
    for name, cells in (("all", train), ("control", control)):
        found = rows["expression", f"correlation, {name} cells"]["auprc"]["value"]
        assert found == pytest.approx(area(cells))
        assert found != pytest.approx(area(dataset.adata), rel=1e-3)


def test_a_method_sees_training_cells_alone(type_, fake, tmp_path) -> None:
    code, *_ = type_(
        *("network", *fake, "--set", f"folder={tmp_path}", "--seed", 1, "--device", "cpu", "--json")
    )
    assert code == 0
    split = load_split(load_dataset("small"), "doubles", 1)
    for source in ("pretrained", "random", "shuffled"):
        seen = json.loads((tmp_path / f"{source}.json").read_text())
        assert seen["labels"] == sorted({*split.train, "control"})
        assert seen["obs"] == ["perturbation", "context", "batch"]
        assert (seen["seed"], seen["device"]) == (1, "cpu")


@pytest.mark.slow
def test_the_same_command_gives_the_same_findings(type_, fake) -> None:
    assert type_("network", *fake, "--json")[1] == type_("network", *fake, "--json")[1]


def test_the_screen_and_the_report_say_the_same(type_, fake, tmp_path) -> None:
    report = tmp_path / "report.md"
    code, out, _ = type_("network", *fake, "--output", report)
    assert code == 0
    text = report.read_text()
    findings = json.loads(type_("network", *fake, "--json")[1])
    assert text.startswith("# Does the attention know the regulatory network?\n")
    for verdict_ in findings["verdicts"].values():
        assert f"- {verdict_}\n" in text
        assert verdict_ in out
    for question, about in findings["questions"].items():
        assert f"{question}: {about}" in out
        assert f"## {question.capitalize()}\n\n{about}" in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in tables} == {10}
    assert len(tables) == 4 * 2 + len(findings["rows"])
    assert "| pretrained | attention | 1.000 [1.000, 1.000] |" in text


def test_too_few_edges_leave_scores_undefined_and_say_why(type_, fake, tmp_path) -> None:
    """G001 to G003 regulate G004 only; whether they are perturbed is left to the data."""
    edges = tmp_path / "edges.csv"
    edges.write_text("source,target,weight\nG001,G004,1\nG002,G004,1\nG003,G004,-1\nG003,ELSE,1\n")
    code, out, err = type_("network", *fake, "--edges", edges, "--json")
    assert code == 0, err
    findings = json.loads(out)
    assert list(findings["questions"]) == ["edges", "direct targets", "within two steps"]
    rows = rows_of(findings, "edges")
    assert [source for source, _ in rows] == ["pretrained", "random", "shuffled", "expression", "chance"]
    for row in rows.values():
        assert row["auprc"] is None
        assert row["note"] == "3 edges among 40 genes; at least 10 are needed"
    assert "3 edges among 40 genes; at least 10 are needed" in type_("network", *fake, "--edges", edges)[1]


def test_where_nothing_can_be_asked_no_map_is_read(type_, fake, tmp_path) -> None:
    """Maps would cost minutes; the table still says why nothing was scored."""
    edges = tmp_path / "edges.csv"
    edges.write_text("source,target\nELSE,G001\n")
    broken = [option.replace(":Fake", ":Broken") for option in fake]
    code, out, err = type_("network", *broken, "--edges", edges, "--json")
    assert code == 0, err
    findings = json.loads(out)
    assert {row["auprc"] for row in findings["rows"]} == {None}
    assert findings["verdicts"]["pretrained"] == "pretrained: nothing could be asked."
    reason = rows_of(findings, "direct targets")["chance", ""]["note"]
    assert reason.endswith("perturbations has such targets; the network has 0 edges among 40 genes")


def test_a_failure_leaves_the_earlier_report_as_it_was(type_, fake, tmp_path) -> None:
    report = tmp_path / "report.md"
    report.write_text("earlier")
    broken = [option.replace(":Fake", ":Broken") for option in fake]
    code, out, err = type_("network", *broken, "--output", report)
    assert (code, out) == (2, "")
    assert "values that are not finite; mend the method" in err.splitlines()[-1]
    assert report.read_text() == "earlier"
    assert sorted(path.name for path in tmp_path.iterdir() if "report" in path.name) == ["report.md"]


def test_auto_is_the_split_that_suits_the_data(type_, fake) -> None:
    named = json.loads(type_("network", *fake, "--split", "doubles", "--json")[1])
    code, out, _ = type_("network", *fake, "--split", "auto", "--json")
    assert (code, json.loads(out)) == (0, named)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ["--method", "additive"],
            "The method 'additive' has no attention to look at; choose one that defines",
        ),
        (["--method", "aditive"], "did you mean 'additive'?"),
        (["--sources", "pretraned"], "'attention_source' should be 'pretrained', 'random' or 'shuffled'"),
        (["--sources", " , "], "No attention source is named"),
        (["--set", "attention_source=random"], "leave --set attention_source out"),
        (["--set", "fodler=here"], "did you mean 'folder'?"),
        (["--set", "folder"], "--set takes NAME=VALUE, not 'folder'"),
        (["--dataset", "smal"], "did you mean 'small'?"),
        (["--dataset", "cells.h5ad"], "There is no dataset 'cells.h5ad'"),
        (["--dataset", "norman19"], "No regulatory network is known for dataset 'norman19'"),
        (["--split", "double"], "There is no split 'double'; did you mean 'doubles'?"),
        (["--device", "tpu"], "There is no device 'tpu'"),
        (["--seed", "-1"], "--seed"),
        (["--edges", "gone.csv"], "There is no file gone.csv to read edges from"),
        (["--output", "gone/report.md"], "There is no folder gone to write report.md to"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_requests_get_one_line_exit_2_and_leave_nothing(type_, fake, home, options, sentence) -> None:
    code, out, err = type_("network", *fake, *options)
    assert (code, out) == (2, "")
    (line,) = err.strip().splitlines()
    assert line.startswith("Error: ")
    assert sentence in line
    assert [path.name for path in home.iterdir()] == ["datasets"]
    assert [path.name for path in (home / "datasets").iterdir()] == ["small.toml"]
