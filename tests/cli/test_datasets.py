"""``datasets describe``, ``add`` and ``fetch``, and splits of files."""

from __future__ import annotations

import json
import shlex

import pytest
from scipy import sparse

from benchmark.machine.paths import cache_folder
from tests.data.brought import HOW, brought, file, guides
from tests.data.test_download import Server

OPTIONS = ["--perturbation-column", "condition", "--control-label", "ctrl", "--expression", "counts"]


@pytest.fixture
def pairs(tmp_path):
    return file(tmp_path, brought(doubles=12))


def test_a_file_is_described_within_80_columns_and_nothing_is_written(type_, home, pairs):
    code, out, err = type_("datasets", "describe", pairs)
    assert (code, err) == (0, "")
    assert max(map(len, out.replace(str(pairs), "FILE").splitlines())) <= 80
    for part in (
        "brought.h5ad: 140 cells, 20 genes",
        "column 'condition', control 'ctrl'",
        "20 control cells, 8 singles, 12 doubles; 6 cells each",
        "8 perturbed genes, 8 of them measured",
        "whole numbers: raw counts, median depth",
    ):
        assert part in out
    assert list(home.iterdir()) == []


def test_the_description_is_one_object_too(type_, pairs):
    about = json.loads(type_("datasets", "describe", pairs, "--json")[1])
    assert [about[name] for name in ("cells", "genes", "controls", "singles", "doubles")] == [
        140,
        20,
        20,
        8,
        12,
    ]
    assert about["cells_per_perturbation"] == [6, 6, 6]
    assert (about["perturbed_genes"], about["perturbed_genes_measured"]) == (8, 8)
    assert about["reading"] == HOW
    assert about["matrices"]["X"]["holds"] == "whole numbers: raw counts"
    assert about["warnings"] == about["problems"] == []


def test_the_proposed_command_adds_the_file_and_its_name_is_enough_from_then_on(type_, home, tmp_path):
    path = file(tmp_path, guides(brought()))
    out = type_("datasets", "describe", path)[1]
    command = out.partition("gives it a name:")[2].replace("\\\n", " ")
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "benchmark"]
    code, said, _ = type_(*words[3:])
    assert code == 0
    assert "brought: 68 cells, 20 genes; try" in said
    assert "collapse_guides = true" in (home / "datasets" / "brought.toml").read_text()
    for name in ("brought", path):
        assert "brought singles-0" in type_("splits", "make", "--dataset", name, "--split", "auto")[1]
    assert type_(*words[3:])[0] == 0
    assert "brought" in [row["name"] for row in json.loads(type_("datasets", "--json")[1])]


def test_what_cannot_be_read_gets_no_card_and_another_reading_another_name(type_, home, pairs):
    code, _, err = type_("datasets", "add", pairs, *OPTIONS[:-1], "log1p")
    assert code == 2
    assert "whole numbers" in err
    assert not (home / "datasets").exists()
    assert type_("datasets", "add", pairs, *OPTIONS)[0] == 0
    code, _, err = type_("datasets", "add", pairs, *OPTIONS, "--min-cells", "3")
    assert code == 2
    assert "There is a data set 'brought' already; choose another with --name" in err
    assert type_("datasets", "add", pairs, *OPTIONS, "--min-cells", "3", "--name", "other")[0] == 0
    assert "is read in several ways, as brought, other" in type_("splits", "make", "--dataset", pairs)[2]


def test_a_file_that_was_changed_after_it_was_added_is_refused_and_left_alone(type_, pairs):
    assert type_("datasets", "add", pairs, *OPTIONS)[0] == 0
    file(pairs.parent, brought(doubles=12, seed=1))
    code, _, err = type_("splits", "make", "--dataset", "brought")
    assert code == 2
    assert "has changed since it was added as 'brought'" in err
    assert pairs.exists()


def test_a_first_reading_begins_with_the_description(type_, pairs, caplog):
    type_("splits", "make", "--dataset", pairs, *OPTIONS)
    assert caplog.messages[0].startswith("brought.h5ad: 140 cells, 20 genes")
    caplog.clear()
    type_("splits", "make", "--dataset", pairs, *OPTIONS)
    assert caplog.messages == []


def test_splits_of_a_file_are_made_listed_and_checked_with_its_options(type_, pairs):
    here = ["--dataset", pairs, *OPTIONS]
    assert "with the same options makes it" in type_("splits", "check", *here)[2]
    assert type_("splits", "make", *here)[0] == 0
    code, out, _ = type_("splits", "check", *here)
    assert code == 0
    assert "preparation: repeated without the test cells, it gives the same 20 genes" in out
    assert out.splitlines()[-1] == "brought doubles-0: sound"
    (row,) = json.loads(type_("splits", "list", "--json", *here)[1])
    assert (row["dataset"], row["split"]) == ("brought", "doubles")


def test_sister_guides_in_training_and_test_are_found(type_, tmp_path):
    here = ["--dataset", file(tmp_path, guides(brought())), *OPTIONS, "--split", "singles"]
    assert type_("splits", "make", *here)[0] == 0
    code, out, err = type_("splits", "check", *here)
    assert code == 2
    assert "test perturbations have a sister in training" in out
    assert "is not sound: guides" in err
    type_("splits", "make", *here, "--collapse-guides")
    assert type_("splits", "check", *here, "--collapse-guides")[0] == 0


def test_the_same_cells_under_two_labels_are_found(type_, tmp_path):
    cells = brought(doubles=12)
    test = (cells.obs["condition"] == "G0+G7").to_numpy()
    other = (cells.obs["condition"] == "G1").to_numpy()
    dense = cells.X.toarray()
    dense[other] = dense[test]
    cells.X = sparse.csr_matrix(dense)
    path = file(tmp_path, cells)
    lists = tmp_path / "mine.json"
    lists.write_text(json.dumps({"train": ["G1", "G2"], "validation": ["G3"], "test": ["G0+G7"]}))
    here = ["--dataset", path, *OPTIONS, "--split", lists]
    assert type_("splits", "make", *here)[0] == 0
    code, out, _ = type_("splits", "check", *here)
    assert code == 2
    assert "copies: 6 of 16 test cells have copies" in out


def test_a_data_set_is_fetched_without_a_run(type_, home, pairs, monkeypatch, caplog):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("BENCHMARK_DATA", raising=False)
    with Server().running() as server:
        server.body = pairs.read_bytes()
        (home / "datasets").mkdir()
        (home / "datasets" / "theirs.toml").write_text(
            f'url = "{server.url}"\nlocal_file = "theirs.h5ad"\nexpression = "counts"\n'
            'perturbation_column = "condition"\ncontrol_label = "ctrl"\n'
        )
        code, out, _ = type_("datasets", "fetch", "theirs")
    assert (code, out) == (0, "theirs: 140 cells, 20 genes, 21 labels, ready\n")
    assert "pinned SHA-256" in caplog.text
    assert len(list(cache_folder("prepared").iterdir())) == 1
