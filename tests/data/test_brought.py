"""Files as people have them: read right, or refused with what is wrong and what reads them."""

from __future__ import annotations

import logging
import shlex

import h5py
import pytest

from benchmark.data.dataset import load_dataset
from benchmark.data.describe import describe
from benchmark.errors import BenchmarkError
from benchmark.splits import load_split, make_split
from tests.data.brought import HOW, brought, file, labels_of, refusal, relabelled


def test_all_that_is_wrong_is_said_at_once_with_the_command_that_reads_it(tmp_path):
    """Triples, a perturbation of one cell, cells without labels, and values that are no log1p."""

    def rule(number: int, label: str) -> str | None:
        return {21: "G0+G1+G2", 30: "G19", 40: None}.get(number, label)

    path = file(tmp_path, relabelled(brought(), rule))
    sentence = refusal(path, {**HOW, "expression": "log1p"})
    for part in (
        "4 things are wrong: (1) Column 'condition' of obs is empty for 1 cells",
        "'G0+G1+G2' names 3 genes, but at most two are supported (1 such labels, 1 cells)",
        "1 perturbations of dataset 'brought' have fewer than 2 cells, such as 'G19'",
        "all values are whole numbers",
    ):
        assert part in sentence
    command = sentence.partition("This reads it: ")[2]
    words = shlex.split(command.partition(f"{path} ")[2])
    assert words == shlex.split(
        "--perturbation-column condition --control-label ctrl --expression counts --min-cells 2 "
        "--leave-out unlabelled --leave-out triples"
    )
    how = {**HOW, "min_cells": 2, "leave_out": ("unlabelled", "triples")}
    assert load_dataset(str(path), **how).adata.n_obs == 68 - 3


def test_small_perturbations_and_surplus_controls_are_left_out_and_counted(tmp_path, caplog):
    cells = brought()
    path = file(tmp_path, cells[[i for i in range(68) if i not in range(20, 24)]].copy())
    with caplog.at_level(logging.INFO, "benchmark"):
        found = labels_of(load_dataset(str(path), **HOW, min_cells=5, max_controls=12))
    assert found == {"control": 12, **{f"G{i}": 6 for i in range(1, 8)}}
    assert "1 perturbations with fewer than 5 cells (2 cells)" in caplog.text
    assert "8 of 20 control cells" in caplog.text


def test_cells_are_kept_and_dropped_by_columns_and_labels(tmp_path):
    cells = brought()
    cells.obs["line"] = ["K562", "RPE1", "A549"] * 22 + ["K562", "RPE1"]
    path = file(tmp_path, cells)
    kept = load_dataset(str(path), **HOW, keep=("line=K562", "line=RPE1"), drop=("G3", "condition=G4"))
    expected = cells.obs[cells.obs["line"].ne("A549") & ~cells.obs["condition"].isin(["G3", "G4"])]
    assert list(kept.adata.obs_names) == list(expected.index)
    assert "There is no perturbation to drop 'lin=A549'" in refusal(path, {**HOW, "drop": ("lin=A549",)})
    assert "it takes COLUMN=VALUE, not 'line'" in refusal(path, {**HOW, "keep": ("line",)})


def test_a_label_is_dropped_before_it_is_read(tmp_path):
    path = file(tmp_path, relabelled(brought(), lambda i, label: "G0+G1+G2" if label == "G0" else label))
    assert "G0" not in labels_of(load_dataset(str(path), **HOW, drop=("G0+G1+G2",)))


def test_several_lines_in_a_file_are_said_with_what_separates_them(tmp_path):
    cells = brought()
    cells.obs["cell_line"] = ["K562", "RPE1"] * 34
    (line,) = describe(file(tmp_path, cells), HOW).warnings
    assert "several kinds by the column 'cell_line' (K562 34, RPE1 34)" in line
    assert "--keep cell_line=K562" in line


def test_a_column_that_names_the_perturbation_and_its_line_is_no_line(tmp_path):
    """As of several studies in one file, of which one is kept."""
    cells = brought()
    cells.obs["condition_cell_type"] = [f"{label}_K562" for label in cells.obs["condition"]]
    assert not [line for line in describe(file(tmp_path, cells), HOW).warnings if "several kinds" in line]


@pytest.mark.parametrize(
    ("controls", "said"), [(3, "3 control cells cannot be divided"), (8, "below 12 it matters")]
)
def test_few_controls_are_said_with_the_number_that_would_do(tmp_path, controls, said):
    (line,) = describe(file(tmp_path, brought(controls=controls)), HOW).warnings
    assert said in line
    assert describe(file(tmp_path, brought(controls=12)), HOW).warnings == []


def test_without_pairs_the_split_that_fits_is_named_and_chosen(tmp_path):
    dataset = load_dataset(str(file(tmp_path, brought())), **HOW)
    with pytest.raises(BenchmarkError, match="there are no pairs: use --split singles"):
        make_split(dataset, "doubles", 0)
    assert load_split(dataset, "auto", 0).scheme == "singles"
    pairs = load_dataset(str(file(tmp_path, brought(doubles=12), "pairs.h5ad")), **HOW)
    assert load_split(pairs, "auto", 0).scheme == "doubles"


def test_two_files_of_one_name_and_one_file_read_in_two_ways_are_data_sets_of_their_own(tmp_path):
    first = file(tmp_path / "first", brought(doubles=12, seed=1))
    second = file(tmp_path / "second", brought(doubles=12, seed=2))
    found = [
        load_dataset(str(path), **HOW, **more) for path in (first, second) for more in ({}, {"min_cells": 2})
    ]
    found.append(load_dataset(str(first), **HOW, max_controls=10))
    names = [dataset.name for dataset in found]
    assert names[:2] == ["brought", "brought"]
    assert names[2:] == [f"brought-{dataset.digest[:8]}" for dataset in found[2:]]
    for dataset in found:
        assert load_split(dataset, "doubles", 0).dataset == dataset.name
        assert load_dataset(dataset.name).digest == dataset.digest


def test_a_file_that_another_program_has_open_is_not_called_damaged(tmp_path, monkeypatch):
    path = file(tmp_path, brought())

    def locked(*args: object, **options: object) -> None:
        raise BlockingIOError(11, "Unable to synchronously open file (unable to lock file, errno = 11)")

    monkeypatch.setattr(h5py, "File", locked)
    sentence = refusal(path, HOW)
    assert "another program has it open: close it there" in sentence
    assert "get it again" not in sentence
