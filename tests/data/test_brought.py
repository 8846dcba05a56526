"""Files as people have them: read right, or refused with what is wrong and what reads them."""

from __future__ import annotations

import logging
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pytest
from scipy import sparse

from benchmark.data.blocks import layers_of
from benchmark.data.dataset import Dataset, load_dataset
from benchmark.data.describe import describe
from benchmark.errors import BenchmarkError
from benchmark.splits import load_split, make_split
from tests.data.brought import HOW, LOGS, brought, file, guides, normalised, relabelled


def labels_of(dataset: Dataset) -> dict[str, int]:
    return dataset.adata.obs["perturbation"].value_counts().to_dict()


def refusal(path: Path, how: dict[str, Any]) -> str:
    with pytest.raises(BenchmarkError) as caught:
        load_dataset(str(path), **how)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("target", "base", "said"),
    [
        (1e4, 2, "log2(1 + x) of counts per 10,000"),
        (1e4, 10, "log10(1 + x) of counts per 10,000"),
        (1e6, None, "log1p of counts per 1,000,000"),
        (1e6, 2, "log2(1 + x) of counts per 1,000,000"),
        (500, None, "log1p of counts per 500"),
    ],
)
def test_values_on_another_scale_become_those_of_log1p_per_10000_and_it_is_said(
    tmp_path, target, base, said, caplog
):
    expected = normalised(brought(), 1e4).X
    dataset = load_dataset(str(file(tmp_path, normalised(brought(), target, base))), **LOGS)
    assert dataset.adata.X.toarray() == pytest.approx(expected, rel=1e-4)
    assert f"are {said}: converted to log1p of counts per 10,000" in caplog.text


def test_normalised_counts_without_a_logarithm_are_given_one(tmp_path):
    cells = normalised(brought(), 1e6)
    cells.X = np.expm1(cells.X.astype(np.float64)).astype(np.float32)
    dataset = load_dataset(str(file(tmp_path, cells)), **LOGS)
    assert dataset.adata.X.toarray() == pytest.approx(normalised(brought(), 1e4).X, rel=1e-4)


def test_log1p_per_10000_is_taken_bit_by_bit_and_nothing_is_said(tmp_path, caplog):
    cells = normalised(brought(), 1e4)
    dataset = load_dataset(str(file(tmp_path, cells)), **LOGS)
    assert np.array_equal(dataset.adata.X.toarray(), cells.X)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_log2_of_selected_genes_cannot_be_converted_and_is_refused(tmp_path):
    cells = normalised(brought(), 1e4, 2)[:, [f"G{i}" for i in range(12)]].copy()
    assert "they look like log2(1 + x) of normalised counts" in refusal(file(tmp_path, cells), LOGS)


def test_log1p_of_selected_genes_is_taken_where_it_is_possible_and_refused_where_it_is_not(tmp_path):
    """Counts per 10,000 cannot sum to more than 10,000, whatever genes were selected."""
    genes = [f"G{i}" for i in range(12)]
    possible = normalised(brought(), 1e4)[:, genes].copy()
    assert load_dataset(str(file(tmp_path, possible)), **LOGS).adata.n_vars == 12
    assert "the values are too large" in refusal(
        file(tmp_path, normalised(brought(), 1e6)[:, genes].copy(), "cpm.h5ad"), LOGS
    )


def test_cells_that_were_normalised_in_two_ways_are_refused_where_they_would_be_converted(tmp_path):
    cells = normalised(brought(), 1e6)
    cells.X[3] = normalised(brought(), 5e5).X[3]
    assert "1 cells have another sum" in refusal(file(tmp_path, cells), LOGS)


def test_half_precision_is_read(tmp_path):
    cells = normalised(brought(), 1e4)
    expected = cells.X.copy()
    cells.X = cells.X.astype(np.float16)
    dataset = load_dataset(str(file(tmp_path, cells)), **LOGS)
    assert dataset.adata.X.dtype == np.float32
    assert dataset.adata.X.toarray() == pytest.approx(expected, rel=2e-3)


def test_ids_are_mapped_to_the_symbols_of_a_column(tmp_path):
    cells = brought()
    cells.var["symbol"] = list(cells.var_names)
    cells.var_names = [f"ENSG{i:011d}" for i in range(20)]
    path = file(tmp_path, cells)
    said = describe(path, {**HOW, "separator": "+"})
    assert said.card.gene_name_column == "symbol"
    assert said.measured == 8
    assert set(load_dataset(str(path), **HOW, gene_name_column="symbol").adata.var_names) >= {"G0", "G7"}


def test_perturbed_genes_that_are_not_measured_are_counted_and_said(tmp_path):
    cells = brought()[:, [f"G{i}" for i in range(8, 20)]].copy()
    said = describe(file(tmp_path, cells), HOW)
    assert said.measured == 0
    assert said.warnings[0].startswith("none of 8 perturbed genes is measured")


def test_genes_that_differ_in_case_alone_are_found_on_request(tmp_path):
    path = file(tmp_path, relabelled(brought(), lambda number, label: label.replace("G", "g")))
    assert "8 but for upper and lower case: --ignore-case" in describe(path, HOW).warnings[0]
    assert "G3" in labels_of(load_dataset(str(path), **HOW, ignore_case=True))


def test_guides_are_said_and_become_genes_on_request(tmp_path):
    path = file(tmp_path, guides(brought()))
    said = describe(path, HOW)
    assert said.warnings[0].startswith("16 perturbed names look like guides of 8 genes, such as 'G0_sg1' and")
    assert said.card.collapse_guides
    assert len(labels_of(load_dataset(str(path), **HOW))) == 17
    dataset = load_dataset(str(path), **HOW, collapse_guides=True)
    assert labels_of(dataset) == {"control": 20, **{f"G{i}": 6 for i in range(8)}}
    split = make_split(dataset, "singles", 0)
    assert set(split.test).isdisjoint(split.train)


@pytest.mark.parametrize("labels", [("NTg*",), ("NTg0", "NTg1", "NTg2", "NTg3")])
def test_several_control_labels_or_a_pattern_of_them_are_controls(tmp_path, labels):
    path = file(
        tmp_path,
        relabelled(brought(), lambda i, label: f"NTg{i % 4}" if label == "ctrl" else f"{label}g{1 + i % 2}"),
    )
    few = describe(path, {**HOW, "control_label": "NTg0"})
    assert any(
        "3 perturbed names look like control cells ('NTg1', 'NTg2', 'NTg3')" in line for line in few.warnings
    )
    found = labels_of(load_dataset(str(path), **{**HOW, "control_label": labels}, collapse_guides=True))
    assert found == {"control": 20, **{f"G{i}": 6 for i in range(8)}}


def test_another_control_label_is_named_and_mended(tmp_path):
    cells = relabelled(
        brought(doubles=6), lambda i, label: ("control", "non-targeting")[i % 2] if label == "ctrl" else label
    )
    path = file(tmp_path, cells)
    sentence = refusal(path, {**HOW, "control_label": "non-targeting"})
    assert "'control' names no gene but control cells" in sentence
    assert "--control-label non-targeting --control-label control" in sentence
    both = load_dataset(str(path), **{**HOW, "control_label": ("non-targeting", "control")})
    assert labels_of(both)["control"] == 20


def test_a_separator_that_tears_plasmids_or_numbers_off_is_refused(tmp_path):
    for name, mark in (("plasmids", "pDS10"), ("numbers", "")):
        path = file(
            tmp_path,
            relabelled(brought(), lambda i, s, mark=mark: s if s == "ctrl" else f"{s}_{mark}{s[1:]}"),
            f"{name}.h5ad",
        )
        sentence = refusal(path, {**HOW, "separator": "_"})
        assert (
            f"8 of 8 pairs have a name that is neither measured nor ever perturbed alone, such as '{mark}0'"
            in sentence
        )
        assert "--separator + --expression counts --collapse-guides" in sentence


def test_pairs_with_another_separator_are_no_unseen_singles(tmp_path):
    path = file(tmp_path, relabelled(brought(doubles=8), lambda i, label: label.replace("+", "_")))
    sentence = refusal(path, HOW)
    assert "8 labels would be single genes, but are two known ones with '_' between them" in sentence
    assert "--separator _" in sentence
    assert labels_of(load_dataset(str(path), **HOW, separator="_"))["G0+G1"] == 6
    assert "G0_G1" in labels_of(load_dataset(str(path), **HOW, as_labelled=True))


@pytest.mark.parametrize("separator", ["|", "_plus_", ";"])
def test_the_separator_is_proposed(tmp_path, separator):
    path = file(tmp_path, relabelled(brought(doubles=8), lambda i, label: label.replace("+", separator)))
    assert describe(path, {}).card.separator == separator


def test_a_control_pair_beside_a_gene_is_a_single(tmp_path):
    def rule(number: int, label: str) -> str:
        if label == "ctrl":
            return "NegCtrl0_NegCtrl0"
        return label.replace("+", "_") if "+" in label else f"NegCtrl0_{label}"

    path = file(tmp_path, relabelled(brought(doubles=8), rule))
    how = {**HOW, "control_label": "NegCtrl0_NegCtrl0", "separator": "_"}
    found = labels_of(load_dataset(str(path), **how))
    assert [sum("+" in label for label in found), len(found), found["control"]] == [8, 17, 20]
    assert describe(path, {}).command_options == {**how, "expression": "counts"}


def test_a_dash_within_a_gene_is_no_separator(tmp_path):
    cells = brought(doubles=4)
    cells.var_names = ["HLA-A", *cells.var_names[1:]]
    cells = relabelled(cells, lambda i, label: label.replace("+", "-").replace("G0", "HLA-A"))
    found = labels_of(load_dataset(str(file(tmp_path, cells)), **HOW, separator="-"))
    assert {"HLA-A", "G1+HLA-A"} <= set(found)


def test_two_guides_of_one_gene_in_a_cell_are_a_single(tmp_path):
    cells = relabelled(brought(doubles=4), lambda i, label: "G0_1+G0_2" if label == "G0" else label)
    assert labels_of(load_dataset(str(file(tmp_path, cells)), **HOW, collapse_guides=True))["G0"] == 6


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


def test_cells_without_counts_are_left_out_on_request(tmp_path):
    cells = brought()
    dense = cells.X.toarray()
    dense[[4, 25]] = 0
    cells.X = sparse.csr_matrix(dense)
    path = file(tmp_path, cells)
    assert "--leave-out empty" in refusal(path, HOW)
    found = labels_of(load_dataset(str(path), **HOW, leave_out=("empty",)))
    assert (found["control"], found["G0"]) == (19, 5)


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


@pytest.mark.parametrize(
    ("controls", "said"), [(3, "3 control cells cannot be divided"), (8, "below 12 it matters")]
)
def test_few_controls_are_said_with_the_number_that_would_do(tmp_path, controls, said):
    (line,) = describe(file(tmp_path, brought(controls=controls)), HOW).warnings
    assert said in line
    assert describe(file(tmp_path, brought(controls=12)), HOW).warnings == []


def test_scaled_values_name_the_matrix_that_would_do(tmp_path):
    cells = normalised(brought(), 1e4)
    cells.layers["counts"] = brought().X
    cells.raw = cells.copy()
    cells.X = (cells.X - cells.X.mean(0)).astype(np.float32)
    path = file(tmp_path, cells)
    sentence = refusal(path, LOGS)
    assert "layers/counts holds whole numbers: raw counts: read it with --layer counts" in sentence
    expected = load_dataset(str(file(tmp_path, brought(), "plain.h5ad")), **HOW)
    layer = load_dataset(str(path), **HOW, layer="counts")
    assert layer.digest == expected.digest
    raw = load_dataset(str(path), **LOGS, raw=True)
    assert raw.adata.X.toarray() == pytest.approx(expected.adata.X.toarray(), rel=1e-4)
    assert "There is no matrix 'layers/count'; did you mean 'layers/counts'?" in refusal(
        path, {**HOW, "layer": "count"}
    )


def test_whole_numbers_without_a_declaration_are_answered_with_what_to_declare(tmp_path):
    how = {name: value for name, value in HOW.items() if name != "expression"}
    sentence = refusal(file(tmp_path, brought()), how)
    assert (
        "log1p values are expected where --expression is not given, but all values are whole numbers"
        in sentence
    )
    assert "--expression counts" in sentence


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


def test_variable_genes_are_chosen_on_control_cells_alone(tmp_path):
    """A gene that varies in perturbed cells only does not come in; perturbed genes always do."""
    cells = brought()
    dense = cells.X.toarray()
    dense[:, 15] = np.where(np.arange(68) % 2, 0, 300) * (np.arange(68) < 20)
    dense[:, 16] = np.where(np.arange(68) % 2, 0, 300) * (np.arange(68) >= 20)
    cells.X = sparse.csr_matrix(dense)
    found = load_dataset(str(file(tmp_path, cells)), **HOW, genes="hvg:1").adata
    assert list(found.var_names) == [*(f"G{i}" for i in range(8)), "G15"]
    assert found.obs["depth"].tolist() == dense.sum(1).tolist()


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csc_array])
def test_sparse_arrays_are_read_as_matrices_are(tmp_path, kind):
    """What scipy and anndata write from now on."""
    cells = brought()
    expected = load_dataset(str(file(tmp_path, cells, "matrix.h5ad")), **HOW).digest
    cells.X = kind(cells.X)
    assert load_dataset(str(file(tmp_path, cells, "array.h5ad")), **HOW).digest == expected


def test_the_matrix_that_newer_anndata_counts_as_a_layer_is_none():
    """From 0.13 on X is among the layers, under the name None."""
    assert layers_of(SimpleNamespace(layers={None: 1, "counts": 2})) == {"counts": 2}


def test_nullable_strings_are_read_as_any_others(tmp_path):
    cells = brought(doubles=6)
    plain = load_dataset(str(file(tmp_path, cells)), **HOW)
    cells.obs["condition"] = cells.obs["condition"].astype("string")
    cells.obs.index, cells.var.index = cells.obs.index.astype("string"), cells.var.index.astype("string")
    with ad.settings.override(allow_write_nullable_strings=True):
        path = file(tmp_path, cells, "nullable.h5ad")
    assert load_dataset(str(path), **HOW).digest == plain.digest


def test_dates_that_a_spreadsheet_made_of_genes_are_said(tmp_path):
    cells = brought()
    cells.var_names = ["1-Mar", "2-Sep", *cells.var_names[2:]]
    said = describe(
        file(tmp_path, relabelled(cells, lambda i, label: "1-Mar" if label == "G1" else label)), HOW
    )
    assert any("1 perturbed genes are dates that a spreadsheet made" in line for line in said.warnings)
    assert any("2 measured genes are dates" in line for line in said.warnings)


def test_a_file_that_another_program_has_open_is_not_called_damaged(tmp_path, monkeypatch):
    path = file(tmp_path, brought())

    def locked(*args: object, **options: object) -> None:
        raise BlockingIOError(11, "Unable to synchronously open file (unable to lock file, errno = 11)")

    monkeypatch.setattr(h5py, "File", locked)
    sentence = refusal(path, HOW)
    assert "another program has it open: close it there" in sentence
    assert "get it again" not in sentence
